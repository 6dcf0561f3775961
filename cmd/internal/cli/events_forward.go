package cli

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/webhook"
)

type eventsForwardCmd struct {
	URL        string `arg:"" help:"URL to which events are posted, as CloudEvents in binary mode."`
	Name       string `default:"default" placeholder:"NAME" help:"Name of the durable consumer; each name receives every event published after its first use (${default})."`
	SecretFile string `type:"path" predictor:"file" placeholder:"FILE" help:"File with the secret that signs events (Standard Webhooks): whsec_ and base64, or any text of 16 bytes or more."`
	InFlight   int    `default:"16" placeholder:"N" help:"Maximum requests in progress (${default})."`

	AdminListen   string `group:"process" placeholder:"HOST:PORT" help:"Address of /livez, /readyz, /metrics and /debug/pprof; by default none."`
	runFlags      `embed:"" group:"process"`
	operatorFlags `embed:"" group:"nats"`
}

var forwardName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Help is printed by --help.
func (*eventsForwardCmd) Help() string {
	return `Examples:

  clientele events forward https://crm.example.com/clients --secret-file secret

Each event is posted until the receiver responds with 2xx. NATS remembers by --name which events were delivered: you can
restart the command, and run it twice to share the work.`
}

// Validate is called by the parser.
func (c *eventsForwardCmd) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL must be an HTTP or HTTPS URL, such as https://crm.example.com/clients")
	case !forwardName.MatchString(c.Name):
		return errors.New("--name: use up to 64 letters, digits, dashes and underscores")
	}
	return advise(c.options(nil).Validate())
}

func (c *eventsForwardCmd) options(secret []byte) app.Options {
	o := app.Options{
		Role:     "subscriber",
		Process:  c.runFlags.options(),
		Backends: app.BackendOptions{NATS: c.operatorFlags.options()},
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
