// Package cli is the command line: one file for each command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"clientele/cmd/internal/refusal"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Demo    demoCmd    `cmd:"" group:"run" help:"Run everything in a temporary directory, with synthetic clients, and print the address of the console."`
	Serve   serveCmd   `cmd:"" group:"run" help:"Run everything in one process: ingress, worker, NATS and SQLite."`
	Ingress ingressCmd `cmd:"" group:"run" help:"Run the HTTP API, on your own NATS and PostgreSQL."`
	Worker  workerCmd  `cmd:"" group:"run" help:"Run the worker, which stores clients and publishes client.created, on your own NATS and PostgreSQL."`
	Forward forwardCmd `cmd:"" group:"run" help:"Deliver events to the webhooks, as serve does, on your own NATS."`
	Migrate migrateCmd `cmd:"" group:"run" help:"Create or update the streams and the database schema."`

	Import   importCmd   `cmd:"" group:"use" help:"Create the clients in a CSV or NDJSON file through the API."`
	Events   eventsCmd   `cmd:"" group:"use" help:"Follow events, subscribe to them, or publish them again."`
	Webhooks webhooksCmd `cmd:"" group:"use" help:"Post events to URLs, and list the deliveries."`

	Console    consoleCmd    `cmd:"" group:"look" help:"Serve a web console to view the state, retry or drop rejections, and look up operations."`
	Status     statusCmd     `cmd:"" group:"look" help:"Show the state of Clientele: throughput, backlog, streams, subscribers and the database."`
	Doctor     doctorCmd     `cmd:"" group:"look" help:"Check the set-up of Clientele, and print what to do about each problem."`
	Debug      debugCmd      `cmd:"" group:"look" help:"Write a ZIP file for support, without client data or secrets."`
	Pause      pauseCmd      `cmd:"" group:"look" help:"Pause the workers for a time: commands are accepted and wait."`
	Resume     resumeCmd     `cmd:"" group:"look" help:"End a pause of the workers."`
	Keys       keysCmd       `cmd:"" group:"look" help:"Create, list and revoke API keys."`
	Clients    clientsCmd    `cmd:"" group:"look" help:"Find and show clients."`
	Rejections rejectionsCmd `cmd:"" group:"look" help:"List, show, retry, export and drop rejected commands."`
	Audit      auditCmd      `cmd:"" group:"look" help:"List or follow the audit trail: who read, changed or erased clients, and who was refused."`
	Erase      eraseCmd      `cmd:"" group:"look" help:"Erase a client and every message about it, and notify subscribers."`
	Export     exportCmd     `cmd:"" group:"look" help:"Print everything about a client as one JSON document."`
	Backup     backupCmd     `cmd:"" group:"look" help:"Copy the streams and the clients into a directory."`
	Restore    restoreCmd    `cmd:"" group:"look" help:"Restore a backup into empty servers or an empty data directory."`
	Redo       redoCmd       `cmd:"" group:"look" help:"Recover clients and events that were lost in a failover or a restore."`
	Bench      benchCmd      `cmd:"" group:"look" help:"Measure a running Clientele. It creates clients and does not delete them."`

	Completion completionCmd `cmd:"" group:"other" help:"Print shell completion code for bash, zsh or fish."`
	Man        manCmd        `cmd:"" group:"other" help:"Write a manual page for each command."`
	Help       helpCmd       `cmd:"" group:"other" help:"Show the help of a command."`
	Version    versionCmd    `cmd:"" group:"other" help:"Print the version."`

	VersionFlag kong.VersionFlag `name:"version" env:"-" help:"Print the version."`
}

const description = `Clientele registers the new clients of a business. 202 Accepted means that the command is on disk and will be processed.

  # Everything in one process, on http://127.0.0.1:8080, with documentation at /docs
  clientele serve

  # Create the clients in a file, and print their events
  clientele import clients.csv
  clientele events tail --since 1h

Every flag has an environment variable: --nats-url is CLIENTELE_NATS_URL. OTEL_EXPORTER_OTLP_ENDPOINT enables traces.`

// helped is the panic of the parser after it has printed help.
type helped struct{}

// Run runs the command line until it completes, the context ends or a signal arrives. It returns the exit status.
func Run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			// A second signal ends the process at once. The log promises this, so the handler is removed first.
			signal.Stop(signals)
			fail(nil)
		case <-ctx.Done():
		}
	}()
	parser, err := kong.New(&cli{},
		kong.Name("clientele"),
		kong.Description(description),
		kong.ExplicitGroups([]kong.Group{
			{Key: "run", Title: "Run Clientele:"},
			{Key: "use", Title: "Import clients and use events:"},
			{Key: "look", Title: "Operate Clientele:"},
			{Key: "other", Title: "Other:"},
			{Key: "api", Title: "API:"},
			{Key: "console", Title: "Console:"},
			{Key: "process", Title: "Process:"},
			{Key: "inside", Title: "Embedded NATS and SQLite:"},
			{Key: "nats", Title: "NATS:"},
			{Key: "database", Title: "Database:"},
			{Key: "streams", Title: "Streams:"},
			{Key: "worker", Title: "Worker:"},
		}),
		kong.DefaultEnvars("CLIENTELE"),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(parseDuration)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": versionLine()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { panic(helped{}) }),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	parser.Model.HelpFlag.Help = "Show this help."
	printed := ExitOK // the status after the parser has printed help or the version
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(helped); !ok {
				panic(r)
			}
			status = printed
		}
	}()
	// A shell that completes a command line sets COMP_LINE; the suggestions are printed here.
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
		if errors.Is(err, errUnhealthy) {
			return ExitUnhealthy
		}
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

// explain returns the error of a command with advice. If the command lacked a right, that is the error: the command itself only
// noticed that its context ended.
func explain(ctx context.Context, err error) error {
	lacking, ok := errors.AsType[*refusal.PermissionError](context.Cause(ctx))
	if !ok {
		return advise(err)
	}
	if doing, ended := strings.CutSuffix(fmt.Sprint(err), context.Canceled.Error()); ended {
		return fmt.Errorf("%s%w", doing, advise(lacking))
	}
	return advise(lacking)
}
