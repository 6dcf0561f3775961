package story

import (
	"context"
	"errors"
	"time"

	"clientele/cmd/internal/console/watch"
	"clientele/domain"
	"clientele/publisher/endpoint"

	"github.com/nats-io/nats.go/jetstream"
)

// Forwarded says what is known about the delivery of an event to a webhook.
type Forwarded struct {
	Webhook string
	// Last is the last attempt that has a record, or nil.
	Last *endpoint.Delivery
	// Past reports whether the webhook needs no further attempt for this event: it has accepted the event, or does not receive it.
	Past bool
}

// forwarded returns what is known about the delivery of an event that was published since then. Of a busy webhook, not every attempt has a
// record.
func forwarded(ctx context.Context, js jetstream.JetStream, e watch.Event, since time.Time) ([]Forwarded, error) {
	endpoints, err := endpoint.List(ctx, js)
	if err != nil {
		return nil, err
	}
	var all []Forwarded
	for _, to := range endpoints {
		one := Forwarded{Webhook: to.Name}
		consumer, err := js.Consumer(ctx, domain.StreamEvents, to.Name)
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return all, err
		}
		if err == nil {
			one.Past = consumer.CachedInfo().AckFloor.Stream >= e.Sequence
		}
		for d, err := range endpoint.Deliveries(ctx, js, to.Name, since) {
			if err != nil {
				return all, err
			}
			if d.Event == e.Sequence {
				one.Last = &d
			}
		}
		all = append(all, one)
	}
	return all, nil
}
