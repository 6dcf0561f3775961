package app

import (
	"context"

	"clientele/cmd/internal/forward"
	"clientele/cmd/internal/process"
)

// ForwardOptions configure the delivery of events to webhooks.
type ForwardOptions struct {
	// UserAgent is the name and version that receivers see.
	UserAgent string
}

func (o *ForwardOptions) validate() error { return nil }

// start delivers to the webhooks.
func (o *ForwardOptions) start(ctx context.Context, p *process.Process, b *backends) (process.Check, error) {
	var forwarder *forward.Forwarder
	err := await(ctx, p, "the webhooks", func(ctx context.Context) (err error) {
		forwarder, err = forward.Open(ctx, forward.Config{
			Conn: b.conn, UserAgent: o.UserAgent, Explain: p.Explain, Metrics: p.Metrics, Log: p.Log,
		})
		return err
	})
	if err != nil {
		return process.Check{}, err
	}
	p.Go(ctx, "webhooks", forwarder.Run)
	return process.Check{Name: "webhooks", Probe: forwarder.Ready}, nil
}
