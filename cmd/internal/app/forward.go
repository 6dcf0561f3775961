package app

import (
	"context"
	"fmt"

	"clientele/cmd/internal/process"
	"clientele/cmd/internal/webhook"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// ForwardOptions configure a forwarder, which posts events to a URL.
type ForwardOptions struct {
	// Name is the name of the durable consumer. Each name receives every event published after it was first used.
	Name string
	// InFlight is the largest number of requests at once.
	InFlight int
	URL      string
	// Secret signs each request, unless it is nil.
	Secret []byte
	// UserAgent is the name and version that the receiver sees.
	UserAgent string
}

func (o *ForwardOptions) validate() error {
	if o != nil && (o.InFlight < 1 || o.InFlight > 1000) {
		return invalid("must be from 1 to 1000", InFlight)
	}
	return nil
}

// start posts the events to the URL.
func (o *ForwardOptions) start(ctx context.Context, p *process.Process, b *backends) (check process.Check, err error) {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return check, err
	}
	durable := "forward-" + o.Name
	var consumer jetstream.Consumer
	err = await(ctx, p, "the events", func(ctx context.Context) (err error) {
		consumer, err = js.CreateOrUpdateConsumer(ctx, domain.StreamEvents, jetstream.ConsumerConfig{
			Durable:       durable,
			Description:   "clientele events forward",
			DeliverPolicy: jetstream.DeliverNewPolicy,
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       2 * webhook.Timeout,
			MaxAckPending: o.InFlight,
			MaxDeliver:    -1,
		})
		return err
	})
	if err != nil {
		return check, err
	}
	forwarder := webhook.New(webhook.Config{URL: o.URL, Secret: o.Secret, UserAgent: o.UserAgent, Log: p.Log})
	slots := make(chan struct{}, o.InFlight)
	subscription, err := consumer.Consume(func(msg jetstream.Msg) { //nolint:contextcheck // an attempt outlives the signal to stop
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			forwarder.Forward(msg)
		}()
	}, jetstream.PullMaxMessages(o.InFlight))
	if err != nil {
		return check, fmt.Errorf("consume the events: %w", err)
	}
	p.OnStop("forwarding", func(ctx context.Context) error {
		subscription.Stop()
		for range cap(slots) { // waits for the attempts in progress
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
			}
		}
		return nil
	})
	p.Log.Info().Str("to", redact(o.URL)).Msg("forwarding events")
	return process.Check{Name: "events", Probe: func(ctx context.Context) error {
		_, err := js.Consumer(ctx, domain.StreamEvents, durable)
		return err
	}}, nil
}
