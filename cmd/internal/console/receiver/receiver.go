// Package receiver collects what the console shows about the receiver of a webhook: its state and settings, its last deliveries, and the
// events that were given up. Nothing of it is secret or personal.
package receiver

import (
	"context"
	"iter"
	"slices"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/publisher/endpoint"
	"clientele/publisher/endpoint/control"
	"clientele/publisher/subscription"
)

// MaxListed is how many deliveries, and how many events, are listed.
const MaxListed = 100

// Receiver is what is known about the receiver of a webhook.
type Receiver struct {
	inspect.Webhook

	CreatedAt, DisabledAt, PreviousUntil time.Time     // zero for never
	GiveUpAfter, DisableAfter            time.Duration // 0 for never
	InFlight                             int
	Subjects                             []string // nil for all
	IDOnly                               bool

	// Deliveries are the last ones that were asked for, the newest first.
	Deliveries []endpoint.Delivery
	// GivenUp are the last events that were given up and not redelivered, the newest first. GivenUpTotal counts all of them.
	GivenUp      []subscription.Undelivered
	GivenUpTotal int
}

// Resumable reports whether there is something to resume: it is not active, its consumer is lost, or it fails and would be tried later.
func (r *Receiver) Resumable() bool {
	return r.State != endpoint.Active || r.Lost || !r.FailingSince.IsZero()
}

// Look looks at a webhook. With failed, only the deliveries that failed are listed.
func Look(ctx context.Context, w control.Webhook, failed bool) (*Receiver, error) {
	state, err := inspect.WebhookOf(ctx, w.JetStream, w.Endpoint)
	if err != nil {
		return nil, err
	}
	r := &Receiver{
		Webhook: state, CreatedAt: w.CreatedAt, DisabledAt: w.Health.DisabledAt, PreviousUntil: w.PreviousUntil(),
		GiveUpAfter: time.Duration(w.GiveUpAfter), DisableAfter: time.Duration(w.DisableAfter),
		InFlight: w.InFlight, Subjects: w.Subjects, IDOnly: w.IDOnly,
	}
	deliveries := endpoint.Deliveries(ctx, w.JetStream, w.Name, time.Time{})
	r.Deliveries, _, err = newest(deliveries, func(d endpoint.Delivery) bool { return !failed || d.Result != endpoint.Delivered })
	if err != nil {
		return nil, err
	}
	givenUp := subscription.ListUndelivered(ctx, w.JetStream, w.Name)
	r.GivenUp, r.GivenUpTotal, err = newest(givenUp, func(subscription.Undelivered) bool { return true })
	return r, err
}

// newest returns the last of the wanted items, the last one first, and how many are wanted.
func newest[T any](items iter.Seq2[T, error], wanted func(T) bool) (last []T, total int, err error) {
	for item, err := range items {
		if err != nil {
			return nil, 0, err
		}
		if !wanted(item) {
			continue
		}
		total++
		if last = append(last, item); len(last) >= 2*MaxListed {
			last = append(last[:0], last[len(last)-MaxListed:]...)
		}
	}
	last = last[max(0, len(last)-MaxListed):]
	slices.Reverse(last)
	return last, total, nil
}
