package receiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"clientele/cmd/internal/console/job"
	"clientele/cmd/internal/figures"
	"clientele/publisher/endpoint"
	"clientele/publisher/endpoint/control"
)

// Notice says what came of an action. Kind is ok, warn or fail.
type Notice struct{ Kind, Text string }

// Test delivers a test event, and says what came of it.
func Test(ctx context.Context, w control.Webhook, trail control.Trail) (*Notice, error) {
	d, err := w.Test(ctx, trail)
	return noticeOf("The test event", d), except[*control.FailedError](err)
}

// Redeliver delivers the event with this sequence, and says what came of it.
func Redeliver(ctx context.Context, w control.Webhook, trail control.Trail, sequence uint64) (told *Notice, err error) {
	what := fmt.Sprintf("Event %d", sequence)
	_, err = w.Redeliver(ctx, trail, []uint64{sequence}, func(o control.Outcome) {
		if told = noticeOf(what, o.Delivery); o.Gone {
			told = &Notice{"warn", what + " " + gone + ". Nothing was delivered."}
		}
	})
	return told, except[*control.UndeliveredError](err)
}

// gone says why an event cannot be delivered.
const gone = "has expired, or its client was erased"

// noticeOf says how a delivery ended.
func noticeOf(what string, d endpoint.Delivery) *Notice {
	took := figures.Millis(d.Millis / 1000)
	if d.Result == endpoint.Delivered {
		return &Notice{"ok", fmt.Sprintf("%s was delivered: the receiver responded with %d %s after %s.", what, d.Status, http.StatusText(d.Status), took)}
	}
	return &Notice{"fail", fmt.Sprintf("%s was not delivered: %s, after %s.", what, d.Error, took)}
}

// except returns nil for an error that the outcomes of the events say already.
func except[E error](err error) error {
	if _, told := errors.AsType[E](err); told {
		return nil
	}
	return err
}

// Redelivery returns the work of a job that redelivers events.
func Redelivery(w control.Webhook, trail control.Trail, sequences []uint64) func(context.Context, *job.Job) error {
	return func(ctx context.Context, j *job.Job) error {
		_, err := w.Redeliver(ctx, trail, sequences, func(o control.Outcome) {
			switch event := fmt.Sprintf("event %d", o.Sequence); {
			case o.Gone:
				j.CountSkipped(job.Note{Reason: event + " " + gone})
			case o.Done():
				j.CountDone()
			default:
				j.CountSkipped(job.Note{ID: o.Delivery.ClientID, Reason: event + ": " + o.Delivery.Error})
			}
		})
		return except[*control.UndeliveredError](err)
	}
}
