package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"clientele/domain"
	"clientele/publisher/reader"
	"clientele/publisher/streams"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// Result says how a delivery ended.
type Result string

// The results.
const (
	Delivered Result = "delivered"
	Failed    Result = "failed" // it is tried again, unless an operator asked for it
	GivenUp   Result = "given_up"
)

// Delivery is one attempt to deliver an event. It has no data of the client but its id.
type Delivery struct {
	Time time.Time `json:"time"`
	// Event is the sequence of the event on its stream; 0 for a test.
	Event uint64 `json:"event"`
	// ID and Type are those of the event.
	ID       string `json:"id"`
	Type     string `json:"type"`
	ClientID string `json:"clientId,omitzero"`
	// Attempt counts the attempts for the event; 0 is one that an operator asked for.
	Attempt uint64 `json:"attempt"`
	Result  Result `json:"result"`
	// Status is that of the response; 0 without one. Error is "" for a delivery that succeeded.
	Status int     `json:"status,omitzero"`
	Error  string  `json:"error,omitzero"`
	Millis float64 `json:"latencyMs"`
}

// deliveryRetention is how long records of deliveries are kept.
const deliveryRetention = 7 * 24 * time.Hour

// Record adds deliveries of an endpoint in one write. The last 1,000 writes of seven days are kept.
func (b *Bucket) Record(ctx context.Context, name string, deliveries []Delivery) error {
	body, err := json.Marshal(deliveries)
	if err == nil {
		_, err = b.js.Publish(ctx, streams.WebhookKeys+keyDeliveries+name, body, jetstream.WithMsgTTL(deliveryRetention))
	}
	if err != nil {
		return fmt.Errorf("record deliveries: %w", err)
	}
	return nil
}

// Deliveries returns the records of an endpoint, oldest first. It stops after an error.
func Deliveries(ctx context.Context, js jetstream.JetStream, name string, since time.Time) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		records, err := reader.Open(ctx, js, reader.Config{
			Stream: domain.StreamWebhooks, Subjects: []string{streams.WebhookKeys + keyDeliveries + name}, Since: since, UpToNow: true,
		})
		if err != nil {
			yield(Delivery{}, err)
			return
		}
		defer records.Close()
		for {
			msg, err := records.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			var some []Delivery
			if err == nil {
				err = json.Unmarshal(msg.Data(), &some)
			}
			if err != nil {
				yield(Delivery{}, fmt.Errorf("read the deliveries of webhook %s: %w", name, err))
				return
			}
			for _, d := range some {
				if !d.Time.Before(since) && !yield(d, nil) {
					return
				}
			}
		}
	}
}
