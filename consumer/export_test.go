package consumer

import (
	"context"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// Decide returns the reason for which a result is a rejection, "" if it is none.
func Decide(r domain.CreateResult) (domain.Client, domain.Code) {
	v := decide(r)
	return v.client, v.reason
}

// Fetch and Work are the two halves of what a lane repeats, for tests that decide themselves what comes between.
func (w *Worker) Fetch() ([]jetstream.Msg, error) { return w.fetch() }

// Work carries a batch through. The context ends when the worker is told to stop.
func (w *Worker) Work(ctx context.Context, msgs []jetstream.Msg) { w.processor.process(ctx, msgs) }

// Reject returns the rejection of a message for this error.
func Reject(msg jetstream.Msg, err error) domain.Rejection { return rejection(msg, reject(err)) }
