package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

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
	p := process.New(zerolog.New(os.Stderr).Level(zerolog.WarnLevel), time.Minute)
	b.Cleanup(func() { _ = p.Stop() })
	serve := serveCmd{
		listenFlags:  listenFlags{Listen: "127.0.0.1:0", maxBatch: publishBatch},
		processFlags: processFlags{AdminListen: "127.0.0.1:0"},
		dataDirFlags: dataDirFlags{DataDir: b.TempDir(), NatsListen: "127.0.0.1:0"},
		streamFlags:  streamFlags{EventRetention: time.Hour, LogMaxBytes: 1 << 31, Replicas: 1},
		workerFlags:  workerFlags{History: time.Hour, BatchSize: storeBatch, Concurrency: concurrency},
	}
	natsURL, err := serve.start(context.Background(), p, env{stdout: io.Discard})
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
	tokens := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		conn, err := net.Dial("tcp", serve.Listen)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		wg.Go(func() { postEach(b, conn, tokens) })
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

// postEach posts a client for each token, one after the other on one connection. It shares the machine with what it
// measures, so it does as little as it can: http.Client would take as much time as the service.
func postEach(b *testing.B, conn net.Conn, tokens <-chan struct{}) {
	b.Helper()
	request := fmt.Appendf(nil, "POST /api/v2/clients HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(full), full)
	answers := bufio.NewReader(conn)
	for range tokens {
		if _, err := conn.Write(request); err != nil {
			b.Error(err)
			continue
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			b.Error(err)
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusAccepted {
			b.Error(answer.Status)
		}
	}
}

// BenchmarkBacklog is a restart of serve, a process of its own, with 100,000 commands on the log that nothing has worked on.
func BenchmarkBacklog(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		first := clientele(b, "serve", "--data-dir", dir)
		first.ready()
		first.stop()
		backlog(b, dir, n)
		b.StartTimer()
		serve := clientele(b, "serve", "--data-dir", dir)
		serve.ready()
		js := jetStream(b, serve.says(natsIsAt))
		publishertest.Eventually(b, "the backlog is worked off", func() bool {
			stream, err := js.Stream(context.Background(), domain.StreamEvents)
			if err != nil {
				b.Fatal(err)
			}
			return stream.CachedInfo().State.Msgs == n
		})
		b.StopTimer()
		serve.stop()
		usage := serve.cmd.ProcessState.SysUsage().(*syscall.Rusage)
		b.ReportMetric(float64(usage.Maxrss)/1024, "MB-peak") // Linux has it in KiB
		b.StartTimer()
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "clients/s")
}
