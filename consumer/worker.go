// Package consumer is the worker: it takes commands from the log in batches, stores the clients, has their events
// published, and acknowledges the commands last.
//
// Ack last is the outbox. A command stays unacknowledged until its row is committed and its event is on disk, so a crash
// anywhere in between has it delivered again; then the row is found, the same event published again, and the command
// acknowledged.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"
)

// Store keeps the clients.
type Store interface {
	// Create stores the clients that are not there yet, all or none; result i belongs to client i. An error means that
	// nothing is known to be stored, and the call is repeated; with domain.CodeUnstorable, that the content of at least one
	// client is refused for good.
	Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error)
}

// Outcomes publishes the outcomes of commands.
type Outcomes interface {
	// PublishEvents and PublishRejections return nil when all of them are on disk. After an error the worker repeats the call.
	PublishEvents(events []domain.Event) error
	PublishRejections(rejections []domain.Rejection) error
	// NotifyCompleted tells waiting callers that the outcomes of the commands with these ids are on disk. Delivery is best
	// effort.
	NotifyCompleted(ids []string)
}

// Config configures a Worker.
type Config struct {
	Conn     *nats.Conn
	Store    Store
	Outcomes Outcomes
	Log      zerolog.Logger
	// BatchSize is the most commands in one transaction; 0 means DefaultBatchSize.
	BatchSize int
	// Concurrency is the number of batches under way at once when commands pile up; 0 means DefaultConcurrency.
	Concurrency int
	// History is how long a command stays on the log after it was accepted, given that it is done.
	History time.Duration
	// Metrics is where the worker registers its metrics, or nil.
	Metrics prometheus.Registerer
	// Traces take spans of each batch and of each command; nil is for none.
	Traces trace.TracerProvider
}

// The defaults of Config.
const (
	DefaultBatchSize   = 500
	DefaultConcurrency = 2
)

const (
	// ackWait is how long the server waits for a sign of life before it delivers a command to somebody else, and so how
	// long the commands wait that a worker had in hand when it died.
	ackWait = 6 * time.Second
	// idleFetch is how long one request for messages waits, and so how long a stop may take on an idle log. It is never
	// cut short: messages on their way to a fetch that has gone would wait for ackWait.
	idleFetch = time.Second
	// createTimeout bounds one attempt at a transaction. Past it the outcome is unknown, and the batch is tried again.
	createTimeout = 15 * time.Second
	// ackTimeout bounds the wait for the server to take note of acks.
	ackTimeout = 2 * time.Second
)

// Worker works off the command log. Several may share a log, in one process or many.
type Worker struct {
	cfg      Config
	js       jetstream.JetStream
	consumer jetstream.Consumer
	metrics  metrics
	tracer   trace.Tracer
	held     held
	turn     sync.Mutex // held by the lane that fetches, and see lane
}

// MissingConsumerError is a command stream without the workers' consumer.
type MissingConsumerError struct{}

func (*MissingConsumerError) Error() string {
	return "consumer " + domain.ConsumerWorker + " of stream " + domain.StreamCommands + " is missing"
}

// Migrate creates the consumer that all workers share, or brings the existing one to these settings.
func Migrate(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.CreateOrUpdateConsumer(ctx, domain.StreamCommands, jetstream.ConsumerConfig{
		Durable:     domain.ConsumerWorker,
		Description: "Clientele: the workers",
		AckPolicy:   jetstream.AckExplicitPolicy,
		AckWait:     ackWait,
		// A command that was given up would stay below the ack floor, undelivered and without an outcome.
		MaxDeliver: -1,
		// The workers bound what they have in hand themselves.
		MaxAckPending: -1,
	})
	if err != nil {
		return fmt.Errorf("consumer %s: %w", domain.ConsumerWorker, err)
	}
	return nil
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
	w := &Worker{cfg: cfg, js: js, consumer: consumer, metrics: newMetrics(cfg.Metrics), tracer: noop.Tracer{}}
	if cfg.Traces != nil {
		w.tracer = cfg.Traces.Tracer("clientele/consumer")
	}
	return w, nil
}

// Ready returns nil when the server answers and has the consumer that Migrate makes.
func Ready(ctx context.Context, js jetstream.JetStream) error {
	_, err := lookUp(ctx, js)
	return err
}

// Ready returns nil when the worker's server answers and has the consumer.
func (w *Worker) Ready(ctx context.Context) error { return Ready(ctx, w.js) }

// errUnreachable is why nothing is sent while there is no connection.
var errUnreachable = errors.New("NATS cannot be reached")

func lookUp(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	if !js.Conn().IsConnected() {
		return nil, errUnreachable
	}
	consumer, err := js.Consumer(ctx, domain.StreamCommands, domain.ConsumerWorker)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, &MissingConsumerError{}
	}
	if err != nil {
		return nil, fmt.Errorf("look up consumer %s: %w", domain.ConsumerWorker, err)
	}
	return consumer, nil
}

// Run works until the context ends; then it finishes the batches in hand and returns. It gives up a batch only if its
// database or its streams are away at that moment; the commands stay on the log.
func (w *Worker) Run(ctx context.Context) {
	var g errgroup.Group
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	// Often enough for one heartbeat to be lost.
	heartbeat := w.consumer.CachedInfo().Config.AckWait / 3
	g.Go(func() error { w.held.beat(background, heartbeat); return nil })
	g.Go(func() error { w.trim(ctx); return nil })

	var lanes errgroup.Group
	for range w.cfg.Concurrency {
		lanes.Go(func() error { w.lane(ctx); return nil })
	}
	_ = lanes.Wait()
	stop()
	_ = g.Wait()
}

// lane takes one batch after the other. A full batch says that more is waiting, so the next lane begins to fetch while
// this one works. One that is not full keeps the turn: had the next lane its way, it would take the few commands that
// came meanwhile, and many small batches cost more syncs than few large ones.
func (w *Worker) lane(ctx context.Context) {
	backoff := newBackoff()
	for {
		w.turn.Lock()
		if ctx.Err() != nil {
			w.turn.Unlock()
			return
		}
		msgs, err := w.fetch()
		full := len(msgs) == w.cfg.BatchSize
		if full {
			w.turn.Unlock()
		}
		if err != nil {
			w.cfg.Log.Warn().Err(err).Msg("cannot fetch commands, trying again")
			backoff.wait(ctx)
		} else {
			backoff = newBackoff()
			w.work(ctx, msgs)
		}
		if !full {
			w.turn.Unlock()
		}
	}
}

// fetch returns what is on the log, up to a batch; if nothing is, it waits a while for one command.
func (w *Worker) fetch() ([]jetstream.Msg, error) {
	if !w.js.Conn().IsConnected() {
		return nil, errUnreachable
	}
	msgs, err := collect(w.consumer.FetchNoWait(w.cfg.BatchSize))
	if len(msgs) > 0 || err != nil {
		return msgs, err
	}
	return collect(w.consumer.Fetch(1, jetstream.FetchMaxWait(idleFetch)))
}

func collect(batch jetstream.MessageBatch, err error) ([]jetstream.Msg, error) {
	if err != nil {
		return nil, err
	}
	var msgs []jetstream.Msg
	for msg := range batch.Messages() {
		if strings.HasPrefix(msg.Subject(), domain.SubjectSync) {
			_ = msg.Ack() // or it comes again
			continue
		}
		msgs = append(msgs, msg)
	}
	if len(msgs) > 0 {
		return msgs, nil // an error has not kept these from us, and will be back if it lasts
	}
	return nil, batch.Error()
}
