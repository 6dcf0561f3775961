// Package cli is the command line: one file for each command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"clientele/cmd/internal/app"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Serve   serveCmd   `cmd:"" group:"run" help:"Run everything in one process: the ingress and the worker, and, unless told of others, NATS and SQLite inside."`
	Ingress ingressCmd `cmd:"" group:"run" help:"Run the HTTP side only, on a NATS and a PostgreSQL of yours."`
	Worker  workerCmd  `cmd:"" group:"run" help:"Run the side that stores clients and emits client.created, on a NATS and a PostgreSQL of yours."`
	Migrate migrateCmd `cmd:"" group:"run" help:"Bring the streams and the database schema to this version, then end."`

	Import importCmd `cmd:"" group:"use" help:"Take in the clients of a CSV or NDJSON file, through the API."`
	Events eventsCmd `cmd:"" group:"use" help:"Follow client.created, forward it to an HTTP URL, or send it again."`

	Keys       keysCmd       `cmd:"" group:"look" help:"Make, list and revoke API keys."`
	Clients    clientsCmd    `cmd:"" group:"look" help:"Find clients by e-mail address or name, and show them."`
	Rejections rejectionsCmd `cmd:"" group:"look" help:"Look at the commands that were rejected, and retry or drop them."`
	Erase      eraseCmd      `cmd:"" group:"look" help:"Erase a client and every message about it, for good, and tell subscribers."`
	Backup     backupCmd     `cmd:"" group:"look" help:"Copy everything into a directory, while Clientele runs or is stopped."`
	Restore    restoreCmd    `cmd:"" group:"look" help:"Fill empty servers, or an empty data directory, with a backup."`
	Bench      benchCmd      `cmd:"" group:"look" help:"Measure a running Clientele from outside. It takes clients in for good."`

	Completion completionCmd `cmd:"" group:"other" help:"Print the code that completes commands, flags and files in bash, zsh or fish."`
	Help       helpCmd       `cmd:"" group:"other" help:"Show the help of a command."`
	Version    versionCmd    `cmd:"" group:"other" help:"Print the version, then end."`

	VersionFlag kong.VersionFlag `name:"version" env:"-" help:"Print the version, then end."`
}

const description = `Clientele takes in new clients: 202 means on disk, and it will happen.

  # Everything in one process, on http://127.0.0.1:8080, with a page at /docs
  clientele serve

  # Take the clients of a file in, and see what comes of it
  clientele import clients.csv
  clientele events tail --since 1h

Every flag has an environment twin: --nats-url is CLIENTELE_NATS_URL. Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says.`

// helped is what the parser throws when it has printed help and there is nothing more to do.
type helped struct{}

// Run runs the command line until it is done, the context ends or a signal asks to stop, and returns the exit status.
func Run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			// The second signal ends the process as if there were no handler: before anybody is told so.
			signal.Stop(signals)
			fail(nil)
		case <-ctx.Done():
		}
	}()
	parser, err := kong.New(&cli{},
		kong.Name("clientele"),
		kong.Description(description),
		kong.ExplicitGroups([]kong.Group{
			{Key: "run", Title: "Run it:"},
			{Key: "use", Title: "Clients in, events out:"},
			{Key: "look", Title: "Look after it:"},
			{Key: "other", Title: "Other:"},
			{Key: "api", Title: "The API:"},
			{Key: "process", Title: "The process:"},
			{Key: "inside", Title: "What is inside:"},
			{Key: "nats", Title: "NATS:"},
			{Key: "database", Title: "The database:"},
			{Key: "streams", Title: "The streams:"},
			{Key: "worker", Title: "The worker:"},
		}),
		kong.DefaultEnvars("CLIENTELE"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": versionLine()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { panic(helped{}) }),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	printed := ExitOK // the status after the parser has printed what it was asked for
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(helped); !ok {
				panic(r)
			}
			status = printed
		}
	}()
	// A shell that wants to complete a command line asks with COMP_LINE, and gets its answer here.
	registerCompletion(parser)
	if isGroup(parser.Model.Node, args) {
		args = append(args, "--help")
		printed = ExitUsage
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "clientele: %v; see %s --help\n", err, commandOf(err))
		return ExitUsage
	}
	if err := explain(ctx, command.Run(env{ctx, fail, getenv, stdin, stdout, stderr})); err != nil {
		fmt.Fprintf(stderr, "clientele: %v\n", err)
		if _, ok := errors.AsType[*usageError](err); ok {
			return ExitUsage
		}
		return ExitError
	}
	return ExitOK
}

// commandOf returns the command in whose arguments the parser found an error.
func commandOf(err error) string {
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil && parse.Context.Selected() != nil {
		return parse.Context.Selected().FullPath()
	}
	return "clientele"
}

// explain returns the error of a command in the words of an operator. If the command lacked a right, that is the error:
// what the command noticed is only that its context ended.
func explain(ctx context.Context, err error) error {
	lacking, ok := errors.AsType[*app.PermissionError](context.Cause(ctx))
	if !ok {
		return advise(err)
	}
	if doing, ended := strings.CutSuffix(fmt.Sprint(err), context.Canceled.Error()); ended {
		return fmt.Errorf("%s%w", doing, advise(lacking))
	}
	return advise(lacking)
}
