package cli

import (
	"errors"
	"fmt"
	"time"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/webhook"
)

type eventsForwardCmd struct {
	URL         string        `arg:"" help:"URL to which events are posted, as CloudEvents in binary mode."`
	Name        string        `default:"forward" placeholder:"NAME" help:"Name of the durable consumer (${default}). A missing one is created: it continues where the last one was, or else starts with the next event."`
	SecretFile  string        `type:"path" predictor:"file" placeholder:"FILE" help:"File with the secret that signs events (Standard Webhooks): whsec_ and base64, or any text of at least 16 bytes."`
	GiveUpAfter time.Duration `default:"24h" placeholder:"DURATION" help:"How long an event may fail before it is given up (${default}); 0s for ever."`
	InFlight    int           `default:"16" placeholder:"N" help:"Maximum requests in progress (${default})."`

	InsecureHTTP bool `name:"insecure-http" help:"Accept an http URL that is not on loopback: events are sent unencrypted."`

	AdminListen   string `group:"process" placeholder:"HOST:PORT" help:"Address of /livez, /readyz and /metrics; by default none."`
	runFlags      `embed:"" group:"process"`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*eventsForwardCmd) Help() string {
	return `Examples:

  clientele events forward https://crm.example.com/clients --secret-file secret

Each event is posted until the receiver responds with 2xx. An event that fails for 24 hours, or for nine minutes with 400, 410, 413, 415
or 422, is given up, so that it cannot stop the others: see clientele events failed. For each --name, NATS records which events were
delivered. You can restart the command, or run it several times to share the work. With the accounts of deploy/nats,
first run clientele events subscribe NAME as the operator.`
}

// Validate is called by the parser.
func (c *eventsForwardCmd) Validate() error {
	if !subscriptionName.MatchString(c.Name) {
		return errors.New("--name " + wrongSubscriptionName)
	}
	return advise(c.options(nil).Validate())
}

func (c *eventsForwardCmd) options(secret []byte) app.Options {
	o := app.Options{
		Role:     "subscriber",
		Process:  c.runFlags.options(),
		Backends: app.BackendOptions{NATS: c.operatorFlags.options()},
		Forward: &app.ForwardOptions{
			Name: c.Name, GiveUpAfter: c.GiveUpAfter, InFlight: c.InFlight, URL: c.URL, PlainHTTP: c.InsecureHTTP, Secret: secret, UserAgent: userAgent(),
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
