package forward

import (
	"context"
	"fmt"
	"sync"
	"time"

	"clientele/cmd/internal/webhook"
	"clientele/publisher/endpoint"

	"github.com/nats-io/nats.go/jetstream"
)

// writeTimeout bounds each write to the server.
const writeTimeout = 5 * time.Second

// deliverer delivers single events, and records what came of them.
type deliverer struct {
	cfg     Config
	js      jetstream.JetStream
	bucket  *endpoint.Bucket
	poster  *webhook.Poster
	metrics *metrics
	records records
	tasks   sync.WaitGroup // runners and requests

	posting   context.Context //nolint:containedctx // of the requests in progress, which outlive that of Run
	interrupt context.CancelFunc
}

// stopPatience is how long requests in progress may take when the process stops. Their events are delivered again.
const stopPatience = 5 * time.Second

// deliver posts an event to an endpoint once. The record lacks the event's sequence and the number of the attempt.
func (d *deliverer) deliver(e endpoint.Endpoint, event webhook.Event) (endpoint.Delivery, error) {
	ctx, cancel := context.WithTimeout(d.posting, webhook.Timeout)
	defer cancel()
	began := time.Now()
	record := endpoint.Delivery{
		Time: began.UTC(), ID: first(event.Header, "ce-id"), Type: first(event.Header, "ce-type"), ClientID: first(event.Header, "ce-subject"),
		Result: endpoint.Delivered,
	}
	keys, err := d.bucket.Keys(e, began)
	if err == nil {
		record.Status, err = d.poster.Post(ctx, e.URL, keys, event)
	}
	took := time.Since(began)
	record.Millis = float64(took.Microseconds()) / 1000
	if err != nil {
		record.Result, record.Error = endpoint.Failed, shortened(err.Error())
	}
	d.metrics.observe(e.Name, took)
	return record, err
}

// record counts a delivery, and keeps its record until writeRecords.
func (d *deliverer) record(name string, delivery endpoint.Delivery) {
	d.metrics.count(name, delivery.Result)
	d.records.add(name, delivery)
}

// writeRecords writes the records of each endpoint in one message. Those for which the context leaves no time wait.
func (d *deliverer) writeRecords(ctx context.Context, waiting map[string][]endpoint.Delivery) {
	for name, deliveries := range waiting {
		if ctx.Err() != nil {
			d.records.add(name, deliveries...)
			continue
		}
		if err := d.bucket.Record(ctx, name, deliveries); err != nil {
			d.cfg.Log.Warn().Err(d.cfg.Explain(err)).Str("webhook", name).Msg("cannot record deliveries")
		}
	}
}

func first(header map[string][]string, name string) string {
	if values := header[name]; len(values) > 0 {
		return shortened(values[0])
	}
	return ""
}

// shortened returns at most the first 200 characters of a text.
func shortened(text string) string {
	const most = 200
	if len(text) > most {
		return fmt.Sprintf("%.*s…", most, text)
	}
	return text
}
