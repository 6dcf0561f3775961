package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/leader"
	"clientele/publisher/reader"
	"clientele/publisher/streams"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

type webhooksRedeliverCmd struct {
	webhookArg   `embed:""`
	Events       []uint64 `arg:"" optional:"" name:"event" help:"Sequences of events on the stream CLIENT_EVENTS, as clientele webhooks deliveries prints them."`
	GivenUp      bool     `help:"The events that were given up."`
	Since        timeFlag `placeholder:"TIME" help:"All events published since this time: a time (RFC 3339) or a duration before now, such as 24h."`
	confirmFlags `embed:""`
	webhookFlags `embed:""`
}

// Help is printed by --help.
func (*webhooksRedeliverCmd) Help() string {
	return `Examples:

  clientele webhooks redeliver crm 4711 4712
  clientele webhooks redeliver crm --given-up
  clientele webhooks redeliver crm --since 24h

Only this webhook receives the events, each once and now, even if it is paused or disabled. The receiver recognises repeated events by their
webhook-id. You can repeat the command after an interruption.`
}

// Validate is called by the parser.
func (c *webhooksRedeliverCmd) Validate() error {
	ways := 0
	for _, set := range []bool{len(c.Events) > 0, c.GivenUp, c.Since.isSet()} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("pass either events, --given-up or --since")
	}
	return c.validate()
}

// Run delivers the events.
func (c *webhooksRedeliverCmd) Run(e env) error {
	if err := c.checkTerminal(e); err != nil {
		return err
	}
	o, err := c.openOne(e, c.Name)
	if err != nil {
		return err
	}
	defer o.close()
	sequences, err := c.sequences(e.ctx, o.js, o.Endpoint)
	if err != nil {
		return err
	}
	if len(sequences) > 0 {
		if yes, err := c.confirmed(e, fmt.Sprintf("Deliver %s to webhook %s?", countOf(len(sequences), "event"), c.Name), "delivered"); !yes {
			return err
		}
	}
	return c.redeliver(e, o.js, o.Endpoint, sequences)
}

// sequences returns those of the events that the flags select.
func (c *webhooksRedeliverCmd) sequences(ctx context.Context, js jetstream.JetStream, w endpoint.Endpoint) (sequences []uint64, err error) {
	switch {
	case len(c.Events) > 0:
		return c.Events, nil
	case c.GivenUp:
		for u, err := range subscription.ListUndelivered(ctx, js, c.Name) {
			if err != nil {
				return nil, err
			}
			sequences = append(sequences, u.Sequence)
		}
		return sequences, nil
	}
	events, err := reader.Open(ctx, js, reader.Config{Since: c.Since.past(), Subjects: w.Subjects, UpToNow: true, HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	defer events.Close()
	for {
		msg, err := events.Next(ctx)
		if errors.Is(err, io.EOF) {
			return sequences, nil
		}
		if err != nil {
			return nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		sequences = append(sequences, meta.Sequence.Stream)
	}
}

// redelivery counts what came of the events.
type redelivery struct {
	mu                      sync.Mutex
	delivered, gone, failed int
	lastError               string
}

// redeliver delivers the events, as many at once as the endpoint allows, and records that.
func (c *webhooksRedeliverCmd) redeliver(e env, js jetstream.JetStream, w endpoint.Endpoint, sequences []uint64) error {
	trail, err := c.recorder(e.ctx, js.Conn())
	if err != nil {
		return err
	}
	stream, err := streams.Open(e.ctx, js, domain.StreamEvents)
	if err != nil {
		return err
	}
	var r redelivery
	record := domain.AuditRecord{Action: endpoint.AuditRedeliver, Target: c.Name, Count: int64(len(sequences))}
	err = trail.Act(e.ctx, record, func(end *domain.AuditRecord) error {
		group, ctx := errgroup.WithContext(e.ctx)
		group.SetLimit(w.InFlight)
		for _, sequence := range sequences {
			group.Go(func() error { return r.one(ctx, js, stream, w, sequence) })
		}
		err := group.Wait()
		end.Count = int64(r.delivered)
		if err == nil && r.failed > 0 {
			err = fmt.Errorf("%s not delivered, the last because %s: run this again", countOf(r.failed, "event"), display(r.lastError))
		}
		return err
	})
	if e.ctx.Err() != nil {
		err = errors.New("interrupted: run this again to deliver the others")
	}
	fmt.Fprintf(e.stdout, "events delivered: %d\n", r.delivered)
	if r.gone > 0 {
		fmt.Fprintf(e.stdout, "events that have expired or whose clients were erased: %d\n", r.gone)
	}
	return err
}

// one delivers one event. An event that is delivered or gone is no longer one that was given up.
func (r *redelivery) one(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, w endpoint.Endpoint, sequence uint64) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	event, err := leader.Get(ctx, js, stream, sequence)
	gone := domain.CodeOf(err) == domain.CodeNotFound
	if err != nil && !gone {
		return err
	}
	var d endpoint.Delivery
	if !gone {
		if w.IDOnly {
			event.Data = nil
		}
		if d, err = endpoint.Deliver(ctx, js.Conn(), w.Name, sequence, event.Header, event.Data); err != nil {
			return err
		}
	}
	r.mu.Lock()
	switch {
	case gone:
		r.gone++
	case d.Result == endpoint.Delivered:
		r.delivered++
	default:
		r.failed, r.lastError = r.failed+1, d.Error
	}
	r.mu.Unlock()
	if gone || d.Result == endpoint.Delivered {
		return subscription.Undelivered{Name: w.Name, Sequence: sequence}.Forget(ctx, js)
	}
	return nil
}
