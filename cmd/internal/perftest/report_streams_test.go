//go:build bench

package perftest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"clientele/cmd/internal/loadtest"
	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// measureStreams measures the stages that use a nats-server process.
func (r *benchReport) measureStreams(t *testing.T, command domain.CreateClient) {
	server := testcluster.StartNATSServer(t)
	js := testcluster.JetStream(t, server.URL)
	if err := streams.Migrate(t.Context(), js, publishertest.Streams); err != nil {
		t.Fatal(err)
	}
	publishertest.StageInMemory(t, server.Data)
	singly := r.measureAppend(t, server, js.Conn(), stageSingly, 1, command)
	n := singly + r.measureAppend(t, server, js.Conn(), stageAppend, 0, command)
	r.measureConsume(t, server, js, n)
	r.measureWork(t, server, js, n)
	r.measureEvents(t, server, js.Conn(), command.Client(time.Now()))
}

// measureAppend appends commands to the log, leaves them there, and returns their number.
func (r *benchReport) measureAppend(t *testing.T, server *testcluster.NATSServer, nc *nats.Conn, stage string, maxBatch int, command domain.CreateClient) (n int) {
	log, err := publisher.OpenLog(t.Context(), publisher.LogConfig{Conn: nc, MaxBatch: maxBatch})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.measure(t, stage, server.PID(), func() int {
		n = r.during(t, stageCallers, func() error {
			command := command
			command.ID = publishertest.NewID(t)
			return again(func() error { _, err := log.Append(t.Context(), command); return err })
		})
		return n
	})
	return n
}

// again repeats a publish, which stores nothing twice, while a stall of the server makes it fail.
func again(publish func() error) (err error) {
	for range 10 {
		if err = publish(); err == nil {
			return nil
		}
	}
	return err
}

// newConsumer recreates the workers' consumer: it delivers everything on the log.
func newConsumer(t *testing.T, js jetstream.JetStream) jetstream.Consumer {
	_ = js.DeleteConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker) // it may not exist
	if err := consumer.Migrate(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// measureConsume fetches and acknowledges n commands like a worker, and does nothing else with them.
func (r *benchReport) measureConsume(t *testing.T, server *testcluster.NATSServer, js jetstream.JetStream, n int) {
	c := newConsumer(t, js)
	r.measure(t, stageConsume, server.PID(), func() int {
		deadline := time.Now().Add(time.Minute)
		for taken := 0; taken < n; {
			batch, err := c.FetchNoWait(consumer.DefaultBatchSize)
			if err != nil {
				t.Fatal(err)
			}
			var last jetstream.Msg
			for msg := range batch.Messages() {
				if last = msg; msg.Ack() == nil {
					taken++
				}
			}
			// A fetch gives up after a second, and what it missed is delivered again.
			if last == nil && time.Now().After(deadline) {
				t.Fatalf("%d commands of %d: %v", taken, n, batch.Error())
			}
		}
		if err := js.Conn().Flush(); err != nil {
			t.Fatal(err)
		}
		return n
	})
}

// measureWork runs a worker on n commands, with a store and streams that cost nothing.
func (r *benchReport) measureWork(t *testing.T, server *testcluster.NATSServer, js jetstream.JetStream, n int) {
	newConsumer(t, js)
	sink := &sink{want: int64(n), done: make(chan struct{})}
	worker, err := consumer.New(t.Context(), consumer.Config{
		Conn: js.Conn(), Store: sink, Outcomes: sink, Log: zerolog.Nop(), History: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	r.measure(t, stageWork, server.PID(), func() int {
		go func() { defer close(stopped); worker.Run(ctx) }()
		select {
		case <-sink.done:
		case <-time.After(time.Minute):
			t.Errorf("%d commands of %d after a minute", sink.events.Load(), n)
		}
		return n
	})
	stop()
	<-stopped
}

// sink stores every client and publishes every event, and keeps none.
type sink struct {
	want   int64
	events atomic.Int64
	done   chan struct{} // closed after want events
}

// Create implements consumer.Store.
func (*sink) Create(_ context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	results := make([]domain.CreateResult, len(clients))
	for i, c := range clients {
		results[i] = domain.CreateResult{Outcome: domain.Created, Client: c}
	}
	return results, nil
}

// PublishEvents implements consumer.Outcomes.
func (s *sink) PublishEvents(events []domain.Event) error {
	published := int64(len(events))
	if n := s.events.Add(published); n >= s.want && n-published < s.want { // a command that is delivered again counts again
		close(s.done)
	}
	return nil
}

// PublishRejections implements consumer.Outcomes.
func (*sink) PublishRejections([]domain.Rejection) error { return nil }

func (*sink) NotifyCompleted([]string) {}

// measureEvents publishes events in batches, first alone, then with clientele bench as the subscriber.
func (r *benchReport) measureEvents(t *testing.T, server *testcluster.NATSServer, nc *nats.Conn, client domain.Client) {
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	event, err := domain.NewEvent(client)
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]domain.Event, consumer.DefaultBatchSize)
	publish := func() int {
		return len(batch) * r.during(t, 1, func() error {
			for i := range batch {
				batch[i] = event
				batch[i].ID = publishertest.NewID(t)
				batch[i].Client.ID = batch[i].ID
			}
			return again(func() error { return outcomes.PublishEvents(batch) })
		})
	}
	r.measure(t, stagePublish, server.PID(), publish)

	ledger := loadtest.NewLedger()
	stop, err := loadtest.Follow(t.Context(), testcluster.JetStream(t, server.URL).Conn(), ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	r.measure(t, stageSubscribe, server.PID(), func() int {
		n := publish()
		publishertest.Eventually(t, "the subscriber has all events", func() bool {
			return ledger.Len() == n
		})
		return n
	})
}
