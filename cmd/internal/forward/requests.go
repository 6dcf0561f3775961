package forward

import (
	"context"
	"strconv"
	"strings"
	"time"

	"clientele/cmd/internal/webhook"
	"clientele/publisher/endpoint"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// requestQueue is the queue group of all processes: one of them answers each request.
const requestQueue = "forward"

// answerRequests delivers what operators ask for, see endpoint.Deliver. The caller unsubscribes.
func (d *deliverer) answerRequests() (*nats.Subscription, error) {
	return d.cfg.Conn.QueueSubscribe(endpoint.SubjectDeliver+"*", requestQueue, func(request *nats.Msg) {
		d.tasks.Go(func() {
			body, err := json.Marshal(d.deliverRequested(request))
			if err == nil {
				err = request.Respond(body)
			}
			if err != nil {
				d.cfg.Log.Warn().Err(err).Msg("cannot answer a request to deliver an event")
			}
		})
	})
}

// deliverRequested delivers a requested event once.
func (d *deliverer) deliverRequested(request *nats.Msg) endpoint.Delivery {
	name := strings.TrimPrefix(request.Subject, endpoint.SubjectDeliver)
	ctx, cancel := context.WithTimeout(d.posting, writeTimeout)
	defer cancel()
	e, err := d.bucket.Get(ctx, name)
	if err != nil {
		return endpoint.Delivery{Time: time.Now().UTC(), Result: endpoint.Failed, Error: shortened(err.Error())}
	}
	record, _ := d.deliver(e, webhook.Event{Header: request.Header, Body: request.Data})
	record.Event, _ = strconv.ParseUint(request.Header.Get(endpoint.HeaderEvent), 10, 64)
	d.record(name, record)
	return record
}
