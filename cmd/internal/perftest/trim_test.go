//go:build bench

package perftest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/bulk"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// trim measures the slowest publish to a command log of 20 GB while a worker trims it, beside the slowest one before: a history above
// its limit of 50,000 commands, as a steady load leaves it, and a long one, as a backlog leaves it.
func (g *growth) trim(t *testing.T) {
	fmt.Fprint(g.table, "\ntrim\tleft\tbytes each\tGB\tslowest publish before, ms\twhile trimming, ms\ttrimmed after, s\t\n")
	for _, c := range []struct{ commands, bytes int }{{60_000, 100}, {60_000, 8_000}, {int(2_500_000 * g.scale), 100}} {
		server := testcluster.StartNATSServer(t)
		js := testcluster.JetStream(t, server.URL)
		settings := publishertest.Streams
		settings.LogMaxBytes = 20e9
		if err := streams.Migrate(t.Context(), js, settings); err != nil {
			t.Fatal(err)
		}
		publishertest.StageInMemory(t, server.Data)
		fillLog(t, js, c.commands, c.bytes)
		log, err := js.Stream(t.Context(), domain.StreamCommands)
		if err != nil {
			t.Fatal(err)
		}
		worker, err := consumer.New(t.Context(), consumer.Config{Conn: js.Conn(), History: time.Hour, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		before := slowestPublish(t, js, func() { <-time.After(g.length) })
		began := time.Now()
		during := slowestPublish(t, js, func() { err = again(func() error { return worker.Trim(t.Context()) }) })
		if err != nil {
			t.Fatal(err)
		}
		took, full := time.Since(began), log.CachedInfo().State
		left, err := log.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(g.table, "%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", c.commands, left.State.Msgs, c.bytes, float64(full.Bytes)/1e9,
			float64(before.Microseconds())/1000, float64(during.Microseconds())/1000, took.Seconds())
		server.Stop()
	}
}

// fillLog puts n commands with bodies of this size on the log, and creates the consumer of the workers as if they had finished them.
func fillLog(t *testing.T, js jetstream.JetStream, n, size int) {
	to, err := publisher.OpenPublisher(t.Context(), js.Conn(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	command := publishertest.Command(t, publishertest.NewID(t), "Smith")
	command.Body = bytes.Repeat([]byte{'x'}, size)
	for left := n; left > 0; left -= bulk.MaxBatch {
		if err := again(func() error { // a batch that timed out may be on the log, and the next has other ids
			return to.Publish(min(left, bulk.MaxBatch), func(int) *nats.Msg {
				command.ID = publishertest.NewID(t)
				m := domain.EncodeCommand(command, "")
				return &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Body}
			})
		}); err != nil {
			t.Fatal(err)
		}
	}
	log, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), domain.StreamCommands, jetstream.ConsumerConfig{
		Durable: domain.ConsumerWorker, AckPolicy: jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: log.CachedInfo().State.LastSeq + 1,
	}); err != nil {
		t.Fatal(err)
	}
}

// slowestPublish publishes one message after another to the log until f returns, and returns the longest wait for an acknowledgement.
func slowestPublish(t *testing.T, js jetstream.JetStream, f func()) (slowest time.Duration) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			began := time.Now()
			if _, err := js.Publish(t.Context(), domain.SubjectSync+publishertest.NewID(t).String(), []byte("sync")); err != nil {
				t.Error(err)
				return
			}
			slowest = max(slowest, time.Since(began))
		}
	})
	f()
	close(done)
	wg.Wait()
	return slowest
}
