package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// fill appends commands to the log.
func fill(t testing.TB, nc *nats.Conn, n int) {
	t.Helper()
	log, err := publisher.OpenLog(context.Background(), publisher.LogConfig{Conn: nc})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	details, err := domain.Parse([]byte(full), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tokens := make(chan struct{})
	var wg sync.WaitGroup
	for range min(n, 1000) {
		wg.Go(func() {
			for range tokens {
				id, err := domain.NewID()
				if err != nil {
					t.Error(err)
					continue
				}
				c, err := domain.NewCreateClient(id, "anonymous", time.Now(), details)
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := log.Append(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range n {
		tokens <- struct{}{}
	}
	close(tokens)
	wg.Wait()
}

// BenchmarkEndToEnd is 200 callers who each post the next client when the last is accepted, on the embedded default; a
// client counts when its event is out. OneByOne is the same service with group commit and batching switched off.
func BenchmarkEndToEnd(b *testing.B) {
	b.Run("Batched", func(b *testing.B) { endToEnd(b, 0, consumer.DefaultBatchSize, consumer.DefaultConcurrency) })
	b.Run("OneByOne", func(b *testing.B) { endToEnd(b, 1, 1, 1) })
}

func endToEnd(b *testing.B, publishBatch, storeBatch, concurrency int) {
	b.Helper()
	const callers = 200
	p := process.New(zerolog.New(os.Stderr).Level(zerolog.WarnLevel))
	b.Cleanup(p.Stop)
	serve := serveCmd{
		listenFlags: listenFlags{Listen: "127.0.0.1:0", maxBatch: publishBatch},
		adminFlags:  adminFlags{AdminListen: "127.0.0.1:0"},
		DataDir:     b.TempDir(),
		NatsListen:  "127.0.0.1:0",
		streamFlags: streamFlags{EventRetention: time.Hour, LogMaxBytes: 1 << 31, Replicas: 1},
		workerFlags: workerFlags{History: time.Hour, BatchSize: storeBatch, Concurrency: concurrency},
	}
	natsURL, err := serve.start(context.Background(), p)
	if err != nil {
		b.Fatal(err)
	}
	nc, err := nats.Connect(natsURL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	var completed atomic.Int64
	done := make(chan struct{})
	if _, err := nc.Subscribe(domain.SubjectCreated, func(*nats.Msg) {
		if completed.Add(1) == int64(b.N) {
			close(done)
		}
	}); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	tokens := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range tokens {
				response, err := client.Post("http://"+serve.Listen+"/api/v2/clients", "application/json", strings.NewReader(full))
				if err != nil {
					b.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusAccepted {
					b.Error(response.Status)
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N { // b.Loop would stop the clock before the last clients are through
		tokens <- struct{}{}
	}
	close(tokens)
	wg.Wait()
	if !b.Failed() {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "clients/s")
}
