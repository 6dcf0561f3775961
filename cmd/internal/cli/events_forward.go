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
	URL        string `arg:"" help:"Where events are posted, as CloudEvents in HTTP's binary mode."`
	Name       string `default:"default" placeholder:"NAME" help:"Name of this way out. Each name has every event once, from when it was first used (${default})."`
	SecretFile string `type:"path" predictor:"file" placeholder:"FILE" help:"Secret with which events are signed, by Standard Webhooks: whsec_ and base64, or any text."`
	InFlight   int    `default:"16" placeholder:"N" help:"Requests under way at once (${default})."`

	AdminListen   string `group:"process" placeholder:"HOST:PORT" help:"Where /livez, /readyz, /metrics and /debug/pprof are served; nowhere unless given."`
	runFlags      `embed:"" group:"process"`
	operatorFlags `embed:"" group:"nats"`
}

var forwardName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Help is printed by --help.
func (*eventsForwardCmd) Help() string {
	return `Examples:

  clientele events forward https://crm.example.com/clients --secret-file secret

Each event is sent until it is answered with 2xx. What was sent is remembered by --name, on the side of NATS: it can be
stopped and started again, and run twice.`
}

// Validate is called by the parser.
func (c *eventsForwardCmd) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL must be like https://crm.example.com/clients")
	case !forwardName.MatchString(c.Name):
		return errors.New("--name: use up to 64 letters, digits, dashes and underscores")
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
