package control_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/endpoint/control"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"
	"clientele/publisher/subscription"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// trail keeps the end of the last action.
type trail struct{ end domain.AuditRecord }

func (r *trail) Act(_ context.Context, record domain.AuditRecord, do func(*domain.AuditRecord) error) error {
	err := do(&record)
	r.end = record
	return err
}

// givenUp returns a webhook that sends one request at a time, and has given up as many events.
func givenUp(t *testing.T, events uint64) control.Webhook {
	t.Helper()
	js, err := jetstream.New(publishertest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := streams.Migrate(t.Context(), js, streams.Config{}); err != nil {
		t.Fatal(err)
	}
	bucket, err := endpoint.Open(t.Context(), js)
	if err == nil {
		err = bucket.Add(t.Context(), "crm", endpoint.Settings{URL: "https://crm.example.com", InFlight: 1}, []byte("0123456789abcdef"))
	}
	for i := uint64(1); err == nil && i <= events; i++ {
		if _, err = js.Publish(t.Context(), domain.SubjectCreated, []byte("{}")); err == nil {
			err = subscription.Record(t.Context(), js, subscription.Undelivered{Name: "crm", Sequence: i})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := control.Open(t.Context(), js, "crm")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// forwarder answers the requests to deliver that it receives from the channel.
func forwarder(t *testing.T, w control.Webhook) (requests chan *nats.Msg, deliver func(*nats.Msg)) {
	t.Helper()
	requests = make(chan *nats.Msg, 10)
	conn := w.JetStream.Conn()
	if _, err := conn.ChanSubscribe(endpoint.SubjectDeliver+"*", requests); err != nil {
		t.Fatal(err)
	}
	return requests, func(request *nats.Msg) {
		body, err := json.Marshal(endpoint.Delivery{Result: endpoint.Delivered})
		if err == nil {
			err = request.Respond(body)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// The work is stopped while an event is in progress. That is delivered all the same: it is counted, and no longer one that was given up.
// The others are unchanged.
func TestAnEventInProgressIsCounted(t *testing.T) {
	t.Parallel()
	w := givenUp(t, 3)
	requests, deliver := forwarder(t, w)
	ctx, stop := context.WithCancel(t.Context())
	var record trail
	var counts control.Redelivery
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		counts, err = w.Redeliver(ctx, &record, []uint64{1, 2, 3}, nil)
	}()
	request := <-requests
	stop()
	deliver(request)
	<-done
	if counts != (control.Redelivery{Delivered: 1}) || record.end.Count != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v (%v), recorded as %+v", counts, err, record.end)
	}
	sequence := request.Header.Get(endpoint.HeaderEvent)
	left, err := w.GivenUp(t.Context())
	if err != nil || len(left) != 2 || sequence != "1" || left[0] != 2 || len(requests) > 0 {
		t.Errorf("event %s is delivered; %v (%v) stay given up, and %d more are requested", sequence, left, err, len(requests))
	}
}

// What was stopped does not wait for a forwarder for as long as that may take.
func TestPatienceAfterAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parent, stop := context.WithCancel(context.Background())
		ctx, cancel := control.Patient(parent)
		defer cancel()
		stop()
		began := time.Now()
		<-ctx.Done()
		if waited := time.Since(began); waited != control.StopPatience {
			t.Errorf("it waits %s", waited)
		}
	})
}
