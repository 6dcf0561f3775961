package publisher_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"clientele/publisher"
	"clientele/publisher/publishertest"
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
		})
	}
}
