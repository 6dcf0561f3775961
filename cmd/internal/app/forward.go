package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/webhook"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ForwardOptions configure a forwarder, which posts events to a URL.
type ForwardOptions struct {
	// Name is the name of the durable consumer. A missing one is created. It continues where an earlier one was, or else begins with
	// the next event.
	Name string
	// InFlight is the largest number of requests at once.
	InFlight int
	// URL is where events are posted. It must be an HTTPS URL or on loopback, unless PlainHTTP is set.
	URL       string
	PlainHTTP bool
	// GiveUpAfter is how long an event may fail before it is given up; 0 means forever.
	GiveUpAfter time.Duration
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
		return option.Invalid("must be an HTTP or HTTPS URL, such as https://crm.example.com/clients", option.ForwardURL)
	case to.Scheme == "http" && !o.PlainHTTP && !process.IsLoopback(to.Host):
		return option.Wrap(&PlainHTTPError{to.Host}, option.ForwardURL)
	case o.InFlight < 1 || o.InFlight > 1000:
		return option.Invalid("must be from 1 to 1000", option.InFlight)
	case o.GiveUpAfter < 0:
		return option.Invalid("must not be negative", option.GiveUpAfter)
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
	var consumer jetstream.Consumer
	err = await(ctx, p, "the events", func(ctx context.Context) (err error) {
		consumer, err = o.subscription(ctx, js)
		return err
	})
	if err != nil {
		return check, err
	}
	forwarder := o.forwarder(p, js) //nolint:contextcheck // a record outlives the signal to stop, too
	p.Go(ctx, "position", func(ctx context.Context) {
		subscription.SavePositions(ctx, js, o.Name, func(err error) { p.Log.Warn().Err(p.Explain(err)).Msg("cannot record the position") })
	})
	slots := make(chan struct{}, o.InFlight)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) { //nolint:contextcheck // an attempt outlives the signal to stop
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
		consuming.Stop()
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
		_, err := subscription.Open(ctx, js, o.Name)
		return err
	}}, nil
}

func (o *ForwardOptions) forwarder(p *process.Process, js jetstream.JetStream) *webhook.Forwarder {
	return webhook.New(webhook.Config{
		URL: o.URL, Secret: o.Secret, UserAgent: o.UserAgent, GiveUpAfter: o.GiveUpAfter, Metrics: p.Metrics, Log: p.Log,
		GiveUp: func(msg jetstream.Msg, attempts uint64, reason error) error {
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
			defer cancel()
			return subscription.Record(ctx, js, subscription.Undelivered{
				Name: o.Name, Sequence: meta.Sequence.Stream, ClientID: msg.Headers().Get("ce-subject"),
				Attempts: attempts, Reason: reason.Error(), Time: time.Now().UTC(),
			})
		},
	})
}

// subscription returns the durable consumer. If it is missing and the NATS user may create consumers, subscription creates it.
func (o *ForwardOptions) subscription(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	consumer, err := subscription.Open(ctx, js, o.Name)
	missing, ok := errors.AsType[*subscription.MissingError](err)
	if !ok {
		return consumer, err
	}
	consumer, err = subscription.Create(ctx, js, subscription.Config{Name: o.Name})
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, missing
	}
	return consumer, err
}
