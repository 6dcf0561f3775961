package cli

import (
	"errors"
	"fmt"
	"time"

	"clientele/cmd/internal/loadtest"
	"clientele/cmd/internal/refusal"
)

// benchCmd measures a running Clientele as its callers and subscribers see it.
type benchCmd struct {
	URL         string        `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"URL of the API (${default})."`
	Connections int           `default:"64" placeholder:"N" help:"Connections, each with one request at a time (${default})."`
	Batch       int           `placeholder:"N" help:"Send N clients with each request, from 1 to 1000; by default one client as a request of its own."`
	Rate        float64       `placeholder:"N" help:"Clients per second, sent on schedule even if earlier ones have no response; by default as many as possible."`
	Duration    time.Duration `default:"10s" help:"How long to send requests (${default})."`
	Count       int           `placeholder:"N" help:"How many clients to send, instead of --duration."`
	Keys        bool          `help:"Send an Idempotency-Key with each client."`
	Repeat      int           `placeholder:"PERCENT" help:"Percentage of clients that repeat an earlier one, with its key. Requires --keys."`
	JSON        bool          `name:"json" help:"Print the result as JSON."`

	tokenFlags    `embed:""`
	apiTLSFlags   `embed:""`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*benchCmd) Help() string {
	return `Examples:

  # As many requests as possible
  clientele bench --connections 256 --duration 30s

  # At a fixed rate; latency is measured from when a request was due
  clientele bench --rate 2000 --duration 60s --keys

  # Batches of 100 clients, of which 5 % repeat earlier ones
  clientele bench --batch 100 --keys --repeat 5

All figures count clients. The exit status is 1 if a client was lost or duplicated.`
}

// Validate is called by the parser.
func (c *benchCmd) Validate() error {
	switch {
	case !isHTTPURL(c.URL):
		return errors.New("--url must be a URL such as http://127.0.0.1:8080")
	case c.Connections < 1 || c.Connections > 10_000:
		return errors.New("--connections must be from 1 to 10000")
	case c.Batch < 0 || c.Batch > 1000:
		return errors.New("--batch must be from 1 to 1000")
	case c.Repeat < 0 || c.Repeat > 99:
		return errors.New("--repeat must be from 0 to 99")
	case c.Repeat > 0 && !c.Keys:
		return errors.New("--repeat requires --keys")
	case c.Rate < 0 || c.Count < 0 || c.Duration <= 0:
		return errors.New("--rate, --count and --duration must be positive")
	}
	return c.tokenFlags.validate()
}

// Run measures and prints the result.
func (c *benchCmd) Run(e env) error {
	certificates, err := c.config()
	if err != nil {
		return err
	}
	nc, err := c.dial(e)
	if err != nil {
		return err
	}
	defer nc.Close()
	r, err := loadtest.Run(e.ctx, loadtest.Config{
		URL:         c.URL,
		Token:       c.token(),
		UserAgent:   userAgent(),
		TLS:         certificates,
		Connections: c.Connections,
		Batch:       c.Batch,
		Rate:        c.Rate,
		Duration:    c.Duration,
		Count:       c.Count,
		Keys:        c.Keys,
		Repeat:      c.Repeat,
		Conn:        nc,
		Progress:    e.stderr,
		Terminal:    isTerminal(e.stderr),
	})
	if refusal.Untrusted(err) {
		return untrustedAPI(err)
	}
	if _, redirect := errors.AsType[*loadtest.RedirectError](err); redirect {
		return fmt.Errorf("%w: if that is the API, name it in --url", err)
	}
	if _, refused := errors.AsType[*loadtest.RefusedError](err); refused {
		return fmt.Errorf("%w: %s", err, checkAPI)
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
		return errors.New("no request was accepted: see the responses above, and check --url")
	}
	if r.Lost > 0 || r.Duplicated > 0 {
		return fmt.Errorf("%d lost, %d duplicated: run clientele rejections ls, and look up the operations", r.Lost, r.Duplicated)
	}
	return nil
}
