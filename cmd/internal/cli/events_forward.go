package cli

import (
	"errors"
	"fmt"
	"net/url"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/webhook"
)

type eventsForwardCmd struct {
	URL        string `arg:"" help:"URL to which events are posted, as CloudEvents in binary mode."`
	Name       string `default:"forward" placeholder:"NAME" help:"Name of the durable consumer (${default}). If it is missing, it is created and begins with the next event."`
	SecretFile string `type:"path" predictor:"file" placeholder:"FILE" help:"File with the secret that signs events (Standard Webhooks): whsec_ and base64, or any text of 16 bytes or more."`
	InFlight   int    `default:"16" placeholder:"N" help:"Maximum requests in progress (${default})."`

	AdminListen   string `group:"process" placeholder:"HOST:PORT" help:"Address of /livez, /readyz, /metrics and /debug/pprof; by default none."`
	runFlags      `embed:"" group:"process"`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*eventsForwardCmd) Help() string {
	return `Examples:

  clientele events forward https://crm.example.com/clients --secret-file secret

Each event is posted until the receiver responds with 2xx. NATS remembers by --name which events were delivered: you can
restart the command, and run it twice to share the work. With the accounts of deploy/nats, first
run clientele events subscribe NAME as the operator.`
}

// Validate is called by the parser.
func (c *eventsForwardCmd) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL must be an HTTP or HTTPS URL, such as https://crm.example.com/clients")
	case !subscriptionName.MatchString(c.Name):
		return errors.New("--name: " + wrongSubscriptionName)
	}
	return advise(c.options(nil).Validate())
}

func (c *eventsForwardCmd) options(secret []byte) app.Options {
	o := app.Options{
		Role:     "subscriber",
		Process:  c.runFlags.options(),
		Backends: app.BackendOptions{NATS: natsFlags(c.operatorFlags).options()},
		Forward: &app.ForwardOptions{
			Name: c.Name, InFlight: c.InFlight, URL: c.URL, Secret: secret, UserAgent: userAgent(),
		},
	}
	o.Process.AdminListen = c.AdminListen
	return o
}

// Run forwards events until it is stopped.
func (c *eventsForwardCmd) Run(e env) error {
	secret, err := webhook.ReadSecret(c.SecretFile)
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	return run(e, c.logFlags, c.options(secret), nil)
}
