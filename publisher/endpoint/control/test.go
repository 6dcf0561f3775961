package control

import (
	"context"
	"time"

	"clientele/domain"
	"clientele/publisher/endpoint"

	"github.com/nats-io/nats.go"
)

// FailedError means that the receiver has not accepted an event.
type FailedError struct{ Delivery endpoint.Delivery }

func (e *FailedError) Error() string { return e.Delivery.Error }

// Test delivers an event of the type client.test once, even if the endpoint is paused or disabled. It has no subject, and its body is
// {"test":true}. The error is a *FailedError if the receiver has not accepted it.
func (w Webhook) Test(ctx context.Context, trail Trail) (d endpoint.Delivery, err error) {
	id, err := domain.NewID()
	if err != nil {
		return d, err
	}
	header := nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {id.String()}, "ce-source": {"/clientele"}, "ce-type": {endpoint.TypeTest},
		domain.HeaderEventTime: {time.Now().UTC().Format(time.RFC3339Nano)}, "Content-Type": {"application/json"},
	}
	err = w.act(ctx, trail, endpoint.AuditTest, func() error {
		d, err = endpoint.Deliver(ctx, w.JetStream.Conn(), w.Name, 0, header, []byte(`{"test":true}`))
		if err == nil && d.Result != endpoint.Delivered {
			err = &FailedError{d}
		}
		return err
	})
	return d, err
}
