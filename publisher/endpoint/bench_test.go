package endpoint_test

import (
	"fmt"
	"testing"
	"time"

	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkRecord measures the cost of a recorded delivery, alone in a write and with others.
func BenchmarkRecord(b *testing.B) {
	js, err := jetstream.New(publishertest.Start(b).Connect(b))
	if err != nil {
		b.Fatal(err)
	}
	if err := streams.Migrate(b.Context(), js, streams.Config{}); err != nil {
		b.Fatal(err)
	}
	bucket, err := endpoint.Open(b.Context(), js)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 25} {
		b.Run(fmt.Sprintf("%d in a write", n), func(b *testing.B) {
			deliveries := make([]endpoint.Delivery, n)
			for i := range deliveries {
				deliveries[i] = endpoint.Delivery{
					Time: time.Now(), Event: uint64(i), ID: "0190d0c5-0000-7000-8000-000000000000", Type: "client.created",
					ClientID: "0190d0c5-0000-7000-8000-000000000001", Attempt: 1, Result: endpoint.Delivered, Status: 200, Millis: 12.3,
				}
			}
			for b.Loop() {
				if err := bucket.Record(b.Context(), "crm", deliveries); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/delivery")
		})
	}
}
