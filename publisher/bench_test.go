package publisher_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkAppend compares the same callers with and without group commit.
func BenchmarkAppend(b *testing.B) {
	for _, maxBatch := range []int{1, 0} {
		for _, callers := range []int{1, 16, 200} {
			b.Run(fmt.Sprintf("maxBatch=%d/callers=%d", maxBatch, callers), func(b *testing.B) {
				log := openLog(b, publishertest.Start(b).Connect(b), maxBatch)
				var wg sync.WaitGroup
				tokens := make(chan struct{})
				for range callers {
					wg.Go(func() {
						for range tokens {
							if _, err := log.Append(context.Background(), publishertest.Command(b, publishertest.NewID(b), "Smith")); err != nil {
								b.Error(err)
							}
						}
					})
				}
				b.ReportAllocs()
				for b.Loop() {
					tokens <- struct{}{}
				}
				close(tokens)
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
			})
		}
	}
}

// BenchmarkPublish finds the number of events from which one atomic batch is faster than as many single publishes.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 2, 3, 4, 5, 8, 16, 64, 256, 500} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			server := publishertest.Start(b)
			publishertest.StageInMemory(b, server.Dir())
			benchmarkPublish(b, server, n)
		})
	}
}

// BenchmarkHistory publishes batches to streams with many blocks, before and after a restart of the server. From the restart on, or after
// some two minutes, the server also keeps the file index.db, and syncs it with each batch (nats-server 2.15.2). Each block of 32 kB
// stands for one of the usual 8 MiB. Before the restart new blocks are small, too, so that batches of 500 are slower.
func BenchmarkHistory(b *testing.B) {
	for _, blocks := range []int{1, 1_000, 5_000} {
		for _, restarted := range []bool{false, true} {
			for _, n := range []int{4, 500} {
				b.Run(fmt.Sprintf("blocks=%d/restarted=%v/events=%d", blocks, restarted, n), func(b *testing.B) {
					server := publishertest.Start(b)
					fillBlocks(b, server, blocks)
					if restarted {
						server.Down()
						server.Up(b)
					}
					publishertest.StageInMemory(b, server.Dir())
					benchmarkPublish(b, server, n)
				})
			}
		}
	}
}

// fillBlocks creates the stream of events again, with at least this number of blocks.
func fillBlocks(b *testing.B, server *publishertest.Server, blocks int) {
	b.Helper()
	js, err := jetstream.New(server.Connect(b))
	if err == nil {
		err = js.DeleteStream(b.Context(), domain.StreamEvents)
	}
	settings := publishertest.Streams
	for _, settings.EventMaxBytes = range []int64{1, -1} { // the server derives the size of a block from it when it creates or loads a stream
		if err == nil {
			err = streams.Migrate(b.Context(), js, settings)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	to, err := publisher.OpenPublisher(b.Context(), js.Conn(), domain.StreamEvents)
	if err == nil {
		body := make([]byte, 30_000)
		err = to.Publish(blocks, func(int) *nats.Msg {
			return &nats.Msg{Subject: domain.SubjectCreated, Header: nats.Header{}, Data: body}
		})
	}
	if err != nil {
		b.Fatal(err)
	}
}

func benchmarkPublish(b *testing.B, server *publishertest.Server, n int) {
	b.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), server.Connect(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		batch := events(b, n)
		b.StartTimer()
		if err := outcomes.PublishEvents(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
}
