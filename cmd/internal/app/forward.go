package app

import (
	"context"
	"fmt"
	"net/url"

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
	// URL is where events are posted. It must be an HTTPS URL or on loopback, unless PlainHTTP is set.
	URL       string
	PlainHTTP bool
	// Secret signs each request, unless it is nil.
	Secret []byte
	// UserAgent is the name and version that the receiver sees.
	UserAgent string
}

func (o *ForwardOptions) validate() error {
	if o == nil {
		return nil
	}
	to, err := url.Parse(o.URL)
	switch {
	case err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https":
		return invalid("must be an HTTP or HTTPS URL, such as https://crm.example.com/clients", ForwardURL)
	case to.Scheme == "http" && !o.PlainHTTP && !isLoopback(to.Host):
		return &OptionError{[]Option{ForwardURL}, &PlainHTTPError{to.Host}}
	case o.InFlight < 1 || o.InFlight > 1000:
		return invalid("must be from 1 to 1000", InFlight)
	}
	return nil
}

// PlainHTTPError reports that events would leave this machine without encryption.
type PlainHTTPError struct{ Host string }

func (e *PlainHTTPError) Error() string {
	return "refusing to send events to " + e.Host + " unencrypted"
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
	if to, err := url.Parse(o.URL); err == nil { // its path and query may be secret
		p.Log.Info().Str("to", to.Host).Msg("forwarding events")
	}
	return process.Check{Name: "events", Probe: func(ctx context.Context) error {
		_, err := js.Consumer(ctx, domain.StreamEvents, durable)
		return err
	}}, nil
}
