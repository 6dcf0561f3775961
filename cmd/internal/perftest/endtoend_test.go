package perftest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/embedded"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"
	"clientele/store/sqlite"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// BenchmarkEndToEnd has 200 callers, which each post the next client when the last is accepted, and the embedded default. A client counts
// when its event is published. OneByOne is the same service without group commit and batching.
func BenchmarkEndToEnd(b *testing.B) {
	b.Run("Batched", func(b *testing.B) { endToEnd(b, 0, consumer.DefaultBatchSize, consumer.DefaultConcurrency) })
	b.Run("OneByOne", func(b *testing.B) { endToEnd(b, 1, 1, 1) })
}

func endToEnd(b *testing.B, publishBatch, storeBatch, concurrency int) {
	b.Helper()
	const callers = 200
	p := process.New(process.Config{Log: zerolog.New(os.Stderr).Level(zerolog.WarnLevel), StopTimeout: time.Minute})
	b.Cleanup(func() { _ = p.Stop() })
	api, natsURL := embeddedService(b, p, publishBatch, consumer.Config{BatchSize: storeBatch, Concurrency: concurrency, History: time.Hour})
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
		conn, err := net.Dial("tcp", api)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		wg.Go(func() { postEach(b, conn, tokens) })
	}
	b.ResetTimer()
	for range b.N { // b.Loop would stop the clock before the last clients are complete
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

// embeddedService starts the parts of serve with batches of the given sizes, and returns the addresses of its API and its NATS.
func embeddedService(b *testing.B, p *process.Process, publishBatch int, cfg consumer.Config) (api, natsURL string) {
	b.Helper()
	ctx := context.Background()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	server, err := embedded.StartNATS(embedded.NATSConfig{Dir: b.TempDir(), Listen: "127.0.0.1:0", Log: p.Log})
	must(err)
	p.OnStop("NATS", func(context.Context) error { server.Stop(); return nil })
	nc, err := nats.Connect(server.ClientURL(), server.Option())
	must(err)
	p.OnStop("connection", func(context.Context) error { nc.Close(); return nil })
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(b.TempDir(), "clientele.db")})
	must(err)
	p.OnStop("database", func(context.Context) error { return db.Close() })
	js, err := jetstream.New(nc)
	must(err)
	must(streams.Migrate(ctx, js, streams.Config{EventRetention: time.Hour}))
	must(consumer.Migrate(ctx, js))
	must(server.StageInMemory())
	_, _, err = db.Migrate(ctx)
	must(err)

	cfg.Conn, cfg.Store, cfg.Log = nc, db, p.Log
	cfg.Outcomes, err = publisher.OpenOutcomePublisher(ctx, nc)
	must(err)
	worker, err := consumer.New(ctx, cfg)
	must(err)
	p.Go(ctx, "worker", worker.Run)
	log, err := publisher.OpenLog(ctx, publisher.LogConfig{Conn: nc, MaxBatch: publishBatch})
	must(err)
	p.OnStop("command log", func(context.Context) error { log.Close(); return nil })
	api, err = p.Serve(process.HTTP{Address: "127.0.0.1:0", Handler: ingress.NewHandler(log, db, ingress.Config{Authenticator: auth.AllowAll{}, Logger: p.Log})})
	must(err)
	return api, server.LocalURL()
}

// postEach posts a client for each token, one after the other on one connection. It shares the machine with the service that it measures,
// so it does as little as it can: http.Client would need as much time as the service.
func postEach(b *testing.B, conn net.Conn, tokens <-chan struct{}) {
	b.Helper()
	request := fmt.Appendf(nil, "POST /api/v2/clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(testcluster.Full), testcluster.Full)
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

// BenchmarkBacklog restarts serve, in its own process, with 100,000 unprocessed commands on the log.
func BenchmarkBacklog(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		first := testcluster.Clientele(b, "serve", "--data-dir", dir)
		first.Ready()
		first.Stop()
		testcluster.Backlog(b, dir, n)
		b.StartTimer()
		serve := testcluster.Clientele(b, "serve", "--data-dir", dir)
		serve.Ready()
		js := testcluster.JetStream(b, serve.NATSURL())
		publishertest.Eventually(b, "the backlog is processed", func() bool {
			stream, err := js.Stream(context.Background(), domain.StreamEvents)
			if err != nil {
				b.Fatal(err)
			}
			return stream.CachedInfo().State.Msgs == n
		})
		b.StopTimer()
		serve.Stop()
		usage := serve.Cmd.ProcessState.SysUsage().(*syscall.Rusage)
		b.ReportMetric(float64(usage.Maxrss)/1024, "MB-peak") // in KiB on Linux
		b.StartTimer()
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "clients/s")
}

// BenchmarkTakeover kills a worker that has received a full batch, and measures until another has finished it.
func BenchmarkTakeover(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := testcluster.New(b)
		testcluster.Fill(b, s.JetStream.Conn(), consumer.DefaultBatchSize)
		unlock := s.Lock()
		killed := s.Clientele("worker")
		s.LocksHeld()
		other := s.Clientele("worker")
		b.StartTimer()
		killed.Kill()
		unlock()
		publishertest.Eventually(b, "every command is acknowledged", s.Drained)
		b.StopTimer()
		other.Stop()
		b.StartTimer()
	}
}
