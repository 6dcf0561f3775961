package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"clientele/publisher/endpoint/control"
	"clientele/publisher/reader"
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
	sequences, err := c.sequences(e.ctx, o)
	if err != nil {
		return err
	}
	if len(sequences) > 0 {
		if yes, err := c.confirmed(e, fmt.Sprintf("Deliver %s to webhook %s?", countOf(len(sequences), "event"), c.Name), "delivered"); !yes {
			return err
		}
	}
	return c.redeliver(e, o, sequences)
}

// sequences returns those of the events that the flags select.
func (c *webhooksRedeliverCmd) sequences(ctx context.Context, o opened) (sequences []uint64, err error) {
	switch {
	case len(c.Events) > 0:
		return c.Events, nil
	case c.GivenUp:
		return o.GivenUp(ctx)
	}
	events, err := reader.Open(ctx, o.JetStream, reader.Config{Since: c.Since.past(), Subjects: o.Subjects, UpToNow: true, HeadersOnly: true})
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

// redeliver delivers the events, and prints what came of them.
func (c *webhooksRedeliverCmd) redeliver(e env, o opened, sequences []uint64) error {
	trail, err := c.recorder(e.ctx, o.JetStream.Conn())
	if err != nil {
		return err
	}
	r, err := o.Redeliver(e.ctx, trail, sequences, nil)
	if failed, ok := errors.AsType[*control.UndeliveredError](err); ok {
		err = fmt.Errorf("%s not delivered, the last because %s: run this again", countOf(failed.Failed, "event"), display(failed.LastError))
	}
	if err != nil && e.ctx.Err() != nil {
		err = errors.New("interrupted: run this again to deliver the others")
	}
	fmt.Fprintf(e.stdout, "events delivered: %d\n", r.Delivered)
	if r.Gone > 0 {
		fmt.Fprintf(e.stdout, "events that have expired or whose clients were erased: %d\n", r.Gone)
	}
	return err
}
