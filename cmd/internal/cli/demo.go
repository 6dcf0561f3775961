package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/demo"
	"clientele/cmd/internal/process"

	"github.com/alecthomas/kong"
)

type demoCmd struct {
	Rate          float64 `default:"5" placeholder:"N" help:"Clients created per second (${default})."`
	Listen        string  `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Address of the API; by default a free port on loopback."`
	ConsoleListen string  `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Address of the console; by default a free port on loopback."`
}

// Help is printed by --help.
func (*demoCmd) Help() string {
	return `Examples:

  clientele demo
  clientele demo --rate 50

It runs clientele serve in a temporary directory, creates synthetic clients, has the worker reject some commands, and delivers events to a
receiver that is sometimes unavailable. Open the console at the address that it prints. Everything is removed when it ends.`
}

// Validate is called by the parser.
func (c *demoCmd) Validate() error {
	const slowest, fastest = 0.1, 1000
	if c.Rate < slowest || c.Rate > fastest {
		return fmt.Errorf("--rate must be from %v to %v", slowest, fastest)
	}
	for _, address := range []string{c.Listen, c.ConsoleListen} {
		if !process.IsLoopback(address) {
			return errors.New("the demo has no authentication: --listen and --console-listen must be HOST:PORT on loopback, such as 127.0.0.1:0")
		}
	}
	return nil
}

// Run runs the demo until the context ends.
func (c *demoCmd) Run(e env) (err error) {
	dir, err := os.MkdirTemp("", "clientele-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, os.RemoveAll(dir)); err == nil {
			_, err = fmt.Fprintf(e.stdout, "removed %s\n", dir)
		}
	}()
	log, err := os.Create(filepath.Join(dir, "clientele.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	serve, err := c.serve(dir)
	if err != nil {
		return err
	}
	quiet := e // the rejected commands would fill the terminal with warnings
	quiet.stderr = log
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	var ended <-chan struct{}
	err = run(quiet, serve.logFlags, serve.options(), func(a *app.App) {
		ended = c.start(ctx, e, quiet, dir, a)
	})
	stop()
	if ended != nil {
		<-ended
	}
	return err
}

// serve returns the command that runs the service in a directory, with the defaults of its flags otherwise.
func (c *demoCmd) serve(dir string) (serveCmd, error) {
	var serve serveCmd
	if err := kong.ApplyDefaults(&serve); err != nil {
		return serve, fmt.Errorf("set the flags of serve: %w", err)
	}
	serve.DataDir, serve.Listen, serve.ConsoleListen = filepath.Join(dir, "data"), c.Listen, &c.ConsoleListen
	serve.NatsListen, serve.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	return serve, nil
}

// start starts the callers and the receiver of a service that runs. The channel is closed when they have ended.
func (c *demoCmd) start(ctx context.Context, e, quiet env, dir string, a *app.App) <-chan struct{} {
	ended := make(chan struct{})
	dataDir := filepath.Join(dir, "data")
	fmt.Fprintf(e.stdout, demoBanner, a.ConsoleURL(), a.APIURL(), dataDir, filepath.Join(dir, "clientele.log"))
	go func() {
		defer close(ended)
		if err := c.play(ctx, quiet, dataDir, a.APIURL()); err != nil && ctx.Err() == nil {
			e.fail(err)
		}
	}()
	return ended
}

// play creates clients and receives their events until the context ends.
func (c *demoCmd) play(ctx context.Context, e env, dataDir, apiURL string) error {
	receiver, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secret, err := addWebhook(e, dataDir, "http://"+receiver.Addr().String())
	if err != nil {
		return err
	}
	handler, err := demo.NewReceiver(secret)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadTimeout: 10 * time.Second}
	go func() { _ = server.Serve(receiver) }() // it ends with Close
	defer server.Close()
	var operator operatorFlags
	operator.DataDir = dataDir
	js, err := operator.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	demo.Run(ctx, demo.Config{APIURL: apiURL, JetStream: js, Rate: c.Rate, Log: logFlags{LogLevel: "info", LogFormat: "json"}.logger(e)})
	return nil
}

// addWebhook adds a webhook as clientele webhooks add does, and returns its secret.
func addWebhook(e env, dataDir, url string) (secret string, err error) {
	var printed bytes.Buffer
	e.stdout = &printed
	add := webhooksAddCmd{webhookArg: webhookArg{"demo-receiver"}, URL: url, EventFields: "full"}
	add.DataDir = dataDir
	if err := add.Run(e); err != nil {
		return "", fmt.Errorf("add the webhook: %w", err)
	}
	return strings.TrimSpace(printed.String()), nil
}

const demoBanner = `The console is at %[1]s: open it in a browser.
The API is at %[2]s, documented at %[2]s/docs.

Synthetic clients arrive, some commands are rejected, and a webhook receives the events. Look at them from another terminal:

  clientele status --watch --data-dir %[3]s
  clientele rejections ls --group --data-dir %[3]s
  clientele webhooks deliveries demo-receiver --data-dir %[3]s

The log is in %[4]s. Press Ctrl+C to end the demo and remove everything.
`
