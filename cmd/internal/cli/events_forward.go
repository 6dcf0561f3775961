package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"clientele/cmd/internal/process"
	"clientele/cmd/internal/webhook"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
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
	switch {
	case !isHTTPURL(c.URL):
		return errors.New("the URL must be like https://crm.example.com/clients")
	case !forwardName.MatchString(c.Name):
		return errors.New("--name has up to 64 letters, digits, dashes and underscores")
	case c.InFlight < 1 || c.InFlight > 1000:
		return errors.New("--in-flight must be from 1 to 1000")
	}
	return c.runFlags.validate()
}

// Run forwards events until it is stopped.
func (c *eventsForwardCmd) Run(e env) error {
	secret, err := webhook.ReadSecret(c.SecretFile)
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	p := process.New(c.logger(e), c.ShutdownTimeout)
	return p.Run(e.ctx, func(ctx context.Context) error {
		admin, _, err := startProcess(ctx, p, e, c.AdminListen)
		if err != nil {
			return err
		}
		conn, err := natsFlags(c.operatorFlags).connect(ctx, p, "subscriber")
		if err != nil {
			return err
		}
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		f := webhook.New(webhook.Config{URL: c.URL, Secret: secret, UserAgent: userAgent(), Log: p.Log})
		var consumer jetstream.Consumer
		err = await(ctx, p, "the events", func(ctx context.Context) (err error) {
			consumer, err = js.CreateOrUpdateConsumer(ctx, domain.StreamEvents, jetstream.ConsumerConfig{
				Durable:       "forward-" + c.Name,
				Description:   "clientele events forward",
				DeliverPolicy: jetstream.DeliverNewPolicy,
				AckPolicy:     jetstream.AckExplicitPolicy,
				AckWait:       2 * webhook.Timeout,
				MaxAckPending: c.InFlight,
				MaxDeliver:    -1,
			})
			return err
		})
		if err != nil {
			return err
		}
		slots := make(chan struct{}, c.InFlight)
		subscription, err := consumer.Consume(func(msg jetstream.Msg) { //nolint:contextcheck // an attempt outlives the order to stop
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				f.Forward(msg)
			}()
		}, jetstream.PullMaxMessages(c.InFlight))
		if err != nil {
			return fmt.Errorf("consume the events: %w", err)
		}
		p.OnStop("forwarding", func(ctx context.Context) error {
			subscription.Stop()
			for range cap(slots) { // until what is under way is over
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
				}
			}
			return nil
		})
		admin.Start(advised([]process.Check{{Name: "events", Probe: func(ctx context.Context) error {
			_, err := js.Consumer(ctx, domain.StreamEvents, "forward-"+c.Name)
			return err
		}}}))
		p.Log.Info().Str("to", redact(c.URL)).Msg("forwarding events")
		return nil
	})
}
