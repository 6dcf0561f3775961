package cli

import (
	"errors"
	"fmt"
	"time"

	"clientele/cmd/internal/loadtest"
)

// benchCmd drives a running Clientele and measures it from outside, as callers and subscribers see it.
type benchCmd struct {
	URL         string        `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The API to drive (${default})."`
	Connections int           `default:"64" placeholder:"N" help:"Connections, each with one request under way at a time (${default})."`
	Rate        float64       `placeholder:"N" help:"Requests a second, sent when they are due whether the ones before are answered or not; as fast as it goes unless given."`
	Duration    time.Duration `default:"10s" help:"How long to send (${default})."`
	Count       int           `placeholder:"N" help:"How many requests to send, instead of --duration."`
	Keys        bool          `help:"Send an Idempotency-Key with each request."`
	Token       string        `placeholder:"TOKEN" help:"API key or token to send. It belongs into the environment: CLIENTELE_TOKEN."`
	JSON        bool          `name:"json" help:"Print the result as JSON."`

	apiTLSFlags   `embed:""`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*benchCmd) Help() string {
	return `Examples:

  # As fast as it goes
  clientele bench --connections 256 --duration 30s

  # At a rate, where a request counts from when it was due
  clientele bench --rate 2000 --duration 60s --keys

The exit status is 1 if anything was lost or came twice.`
}

// Validate is called by the parser.
func (c *benchCmd) Validate() error {
	switch {
	case !isHTTPURL(c.URL):
		return errors.New("--url must be like http://127.0.0.1:8080")
	case c.Connections < 1 || c.Connections > 10_000:
		return errors.New("--connections must be from 1 to 10000")
	case c.Rate < 0 || c.Count < 0 || c.Duration <= 0:
		return errors.New("--rate, --count and --duration must be positive")
	}
	return nil
}

// Run measures, and prints what it found.
func (c *benchCmd) Run(e env) error {
	certificates, err := c.config()
	if err != nil {
		return err
	}
	nc, err := natsFlags(c.operatorFlags).connectNow(e, "subscriber")
	if err != nil {
		return err
	}
	defer nc.Close()
	r, err := loadtest.Run(e.ctx, loadtest.Config{
		URL:         c.URL,
		Token:       c.Token,
		UserAgent:   userAgent(),
		TLS:         certificates,
		Connections: c.Connections,
		Rate:        c.Rate,
		Duration:    c.Duration,
		Count:       c.Count,
		Keys:        c.Keys,
		Conn:        nc,
		Progress:    e.stderr,
		Terminal:    isTerminal(e.stderr),
	})
	if untrusted(err) {
		return untrustedAPI(err)
	}
	if err != nil {
		return err
	}
	if err := r.Print(e.stdout, c.JSON); err != nil {
		return err
	}
	if e.ctx.Err() != nil {
		return errors.New("interrupted: requests in flight are not counted")
	}
	if r.Accepted == 0 {
		return errors.New("no request was accepted, see the answers, and --url")
	}
	if r.Lost > 0 || r.Duplicated > 0 {
		return fmt.Errorf("%d lost, %d duplicated: look at clientele rejections ls, and at the operations", r.Lost, r.Duplicated)
	}
	return nil
}
