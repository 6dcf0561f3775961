// Package consumer is the worker: it fetches commands from the log in batches, stores the clients, publishes their events,
// and acknowledges the commands last.
//
// Ack last replaces an outbox table. A command stays unacknowledged until its row is committed and its event is on disk.
// After a crash in between, the server delivers it again; the worker finds the row, publishes the same event again, and
// acknowledges the command.
package consumer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
)

// Config configures a Worker.
type Config struct {
	Conn     *nats.Conn
	Store    Store
	Outcomes Outcomes
	// Rejections records the rejections that Outcomes has published, for 90 days; nil means that nobody lists them.
	Rejections RejectionRecorder
	// Restore stores lost clients again from the events that were published since then; nil means none.
	Restore func(ctx context.Context, since time.Time) error
	Log     zerolog.Logger
	// BatchSize is the largest number of commands in one transaction; 0 means DefaultBatchSize.
	BatchSize int
	// Concurrency is the maximum number of batches in progress at once; 0 means DefaultConcurrency.
	Concurrency int
	// History is how long a finished command stays on the log after it was accepted. Trim describes the exception.
	History time.Duration
	// Full reports whether the disk of the log is almost full: Trim then removes every finished command; nil means that it never is.
	Full func() bool
	// Metrics is where the worker registers its metrics, or nil.
	Metrics prometheus.Registerer
	// Traces receives spans of each batch and of each command; nil means none.
	Traces trace.TracerProvider
}

// The defaults of Config.
const (
	DefaultBatchSize   = 500
	DefaultConcurrency = 2
)

// Worker processes the commands of the log. Several may share a log, in one process or many. It is also a
// prometheus.Collector, for the metrics of the log.
type Worker struct {
	collector

	cfg       Config
	consumer  jetstream.Consumer
	processor processor
	trimmer   trimmer
	repeater  repeater
	inFlight  inFlight
	fetchMu   sync.Mutex // locked by the lane that fetches, see lane
}

// New returns a worker on the log that the connection leads to, or a *MissingConsumerError.
func New(ctx context.Context, cfg Config) (*Worker, error) {
	if cfg.BatchSize == 0 {
		cfg.BatchSize = DefaultBatchSize
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = DefaultConcurrency
	}
	if cfg.BatchSize < 0 || cfg.Concurrency < 0 || cfg.History < 0 {
		return nil, errors.New("batch size, concurrency and history must not be negative")
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	consumer, err := lookUp(ctx, js)
	if err != nil {
		return nil, err
	}
	metrics, tracing := newMetrics(cfg.Metrics), newTracing(cfg.Traces)
	w := &Worker{
		collector: newCollector(js), cfg: cfg, consumer: consumer,
		trimmer: trimmer{js: js, history: cfg.History, full: cfg.Full, most: historyCommands, step: trimStep, log: cfg.Log, trimmed: metrics.trimmed},
	}
	outcomes := cfg.Outcomes
	if cfg.Rejections != nil {
		outcomes = recordedOutcomes{outcomes, cfg.Rejections}
	}
	w.inFlight.ackWait = consumer.CachedInfo().Config.AckWait
	w.repeater = repeater{js: js, restore: cfg.Restore, timeout: w.interval(), log: cfg.Log, total: metrics.repeated}
	w.processor = processor{
		store: cfg.Store, outcomes: outcomes, log: cfg.Log, metrics: metrics, tracing: tracing,
		retrier: retrier{log: cfg.Log, metrics: metrics, tracer: tracing.tracer}, inFlight: &w.inFlight,
		newer: newNewerRules(cfg.Log, metrics.newer),
	}
	return w, nil
}

// Ready returns nil when the worker's server answers and has the consumer.
func (w *Worker) Ready(ctx context.Context) error { return Ready(ctx, w.js) }

// Trim removes commands from the log that are finished and older than the history. A command is finished if it is at or below
// the ack floor: its outcome is on disk. When the log is a quarter full or has 50,000 commands, Trim also removes the oldest of the
// history, until it has four fifths of that, and all of it while the disk is almost full. It removes 10,000 at a time, because the log
// stores nothing meanwhile. From a log with more commands it removes at least one in 32 at a time, or
// none while the disk has room. Run calls it every 2 s.
// Several workers may call it at once.
func (w *Worker) Trim(ctx context.Context) error { return w.trimmer.trim(ctx) }

// Run processes commands until the context ends; then it finishes its batches and returns. It gives up a batch only if the
// database or the streams are unavailable then; the commands stay on the log.
func (w *Worker) Run(ctx context.Context) {
	var g errgroup.Group
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { w.inFlight.heartbeat(background, w.interval(), w.cfg.Conn.FlushTimeout); return nil })
	g.Go(func() error { w.trimmer.run(ctx); return nil })
	if w.cfg.Rejections != nil {
		g.Go(func() error { trimRecords(ctx, w.cfg.Rejections, w.cfg.Log); return nil })
	}

	var lanes errgroup.Group
	for range w.cfg.Concurrency {
		lanes.Go(func() error { w.lane(ctx); return nil })
	}
	_ = lanes.Wait()
	stop()
	_ = g.Wait()
}

// interval is the time between two heartbeats. One lost heartbeat must not cause a redelivery.
func (w *Worker) interval() time.Duration { return w.inFlight.ackWait / 3 }

// lane fetches and processes one batch after the other. After a full batch, more commands are waiting, so the next lane may
// fetch while this one works. Otherwise the lane keeps the lock: the next one would fetch only the few commands that arrived
// meanwhile, and many small batches cost more syncs than few large ones.
func (w *Worker) lane(ctx context.Context) {
	backoff := newBackoff()
	for {
		w.fetchMu.Lock()
		if ctx.Err() != nil {
			w.fetchMu.Unlock()
			return
		}
		since := time.Now()
		msgs, err := w.fetch() //nolint:contextcheck // a fetch is never cancelled, see there
		full := len(msgs) == w.cfg.BatchSize
		if full {
			w.fetchMu.Unlock()
		}
		if err != nil {
			w.cfg.Log.Warn().Err(err).Msg("cannot fetch commands; trying again")
			backoff.wait(ctx)
		} else {
			backoff = newBackoff()
			w.processor.process(ctx, msgs, since)
		}
		if !full {
			w.fetchMu.Unlock()
		}
	}
}

// fetch returns up to a batch of commands from the log. If there are none, it waits for one for up to the interval between
// heartbeats: the lease of a batch begins with its fetch. On an idle log, stopping may take as long: a fetch is never cancelled,
// because messages sent to a cancelled fetch would wait for ackWait.
func (w *Worker) fetch() ([]jetstream.Msg, error) {
	if !w.js.Conn().IsConnected() {
		return nil, errUnreachable
	}
	msgs, err := w.collect(w.consumer.FetchNoWait(w.cfg.BatchSize))
	if len(msgs) > 0 || err != nil {
		return msgs, err
	}
	return w.collect(w.consumer.Fetch(1, jetstream.FetchMaxWait(w.interval())))
}

func (w *Worker) collect(batch jetstream.MessageBatch, err error) ([]jetstream.Msg, error) {
	if err != nil {
		return nil, err
	}
	var msgs, syncs []jetstream.Msg
	for msg := range batch.Messages() {
		if strings.HasPrefix(msg.Subject(), domain.SubjectSync) {
			syncs = append(syncs, msg)
			continue
		}
		msgs = append(msgs, msg)
	}
	if msgs = append(msgs, w.repeater.commands(syncs, msgs)...); len(msgs) > 0 {
		return msgs, nil // a lasting error will occur again
	}
	return nil, batch.Error()
}
