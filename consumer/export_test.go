package consumer

import (
	"context"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Decide returns the reason why a result is a rejection, or "".
func Decide(r domain.CreateResult) (domain.Client, domain.Code) {
	v := decide(r)
	return v.event.Client, v.reason
}

// Fetch and Work are the two steps of a lane, for tests that act between them.
func (w *Worker) Fetch() ([]jetstream.Msg, error) { return w.fetch() }

// Work processes a batch. The context ends when the worker must stop.
func (w *Worker) Work(ctx context.Context, msgs []jetstream.Msg) {
	w.processor.process(ctx, msgs, time.Now())
}

// Reject returns the rejection of a message for this error.
func Reject(msg jetstream.Msg, err error) domain.Rejection { return rejection(msg, reject(err)) }

// LimitTrim sets how many commands the log has before Trim removes history, and how many it removes at a time.
func (w *Worker) LimitTrim(most, step uint64) { w.trimmer.most, w.trimmer.step = most, step }

// TrimRecords is what Run does with old records of rejections.
func TrimRecords(ctx context.Context, recorder RejectionRecorder, log zerolog.Logger) {
	trimRecords(ctx, recorder, log)
}
