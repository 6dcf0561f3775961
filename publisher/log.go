package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"clientele/domain"
	"clientele/domain/traceparent"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Log is the command log as an ingress sees it: it appends commands and looks up what became of one.
//
// Appending is a group commit. One goroutine publishes; while it waits for the stream, requests gather in a pool, and all
// of them go out with the next publish. So a lone request waits for nobody and a crowd shares one fsync.
type Log struct {
	commands   jetstream.Stream
	rejections jetstream.Stream
	stream     stream
	maxBatch   int
	batch      prometheus.Histogram
	duration   prometheus.Histogram
	tracer     trace.Tracer
	wake       chan struct{} // holds a token while the pool may have requests in it
	done       chan struct{}

	mu     sync.Mutex
	pool   []*request
	closed bool
}

// request is one message under way, with whoever waits for it.
type request struct {
	id  uuid.UUID
	msg func() *nats.Msg // a new one each time
	// same are requests for the same id that were in the pool together with this one. They share its outcome.
	same   []*request
	answer chan error // of capacity 1: the flusher never waits for whoever asked

	// Guarded by Log.mu.
	taken, withdrawn bool
}

// LogConfig configures OpenLog.
type LogConfig struct {
	Conn *nats.Conn
	// MaxBatch is the most commands published at once; 0 means the default, 500. With 1 there is no group commit.
	MaxBatch int
	// Metrics is where the log registers its metrics, or nil.
	Metrics prometheus.Registerer
	// Traces take a span of each command that is published; nil is for none.
	Traces trace.TracerProvider
}

// OpenLog returns the log of the server that the connection leads to, or a *MissingStreamError.
func OpenLog(ctx context.Context, cfg LogConfig) (*Log, error) {
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	l := &Log{maxBatch: cfg.MaxBatch, wake: make(chan struct{}, 1), done: make(chan struct{}), tracer: noop.Tracer{}}
	if cfg.Traces != nil {
		l.tracer = cfg.Traces.Tracer("clientele/publisher")
	}
	if l.maxBatch == 0 {
		l.maxBatch = maxBatch
	}
	if l.commands, err = openStream(ctx, js, domain.StreamCommands); err != nil {
		return nil, err
	}
	if l.rejections, err = openStream(ctx, js, domain.StreamRejections); err != nil {
		return nil, err
	}
	if l.stream, err = newStream(cfg.Conn, *l.commands.CachedInfo()); err != nil {
		return nil, err
	}
	with := promauto.With(cfg.Metrics)
	l.batch = with.NewHistogram(prometheus.HistogramOpts{
		Name: "clientele_log_publish_batch_commands", Help: "Commands that were published to the log at once.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 10),
	})
	l.duration = with.NewHistogram(prometheus.HistogramOpts{
		Name: "clientele_log_publish_duration_seconds", Help: "Time that the log took to acknowledge them, or to refuse.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	})
	go l.run() //nolint:contextcheck // a batch belongs to many requests, none of whose contexts may end it
	return l, nil
}

// Close publishes what is in the pool and ends. Append must not be called any more.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.signal()
	<-l.done
}

// Append puts the command on the log and returns when it was accepted: now, or earlier if the log has the same command
// already. When Append returns without an error, the command is on disk.
//
// An error has a code: domain.CodeKeyReused if the log has another command under this id; domain.CodeUnavailable and
// domain.CodeLogFull if the command was not accepted; domain.CodeUnknown if it may have been, as the log did not answer
// before the context ended or within four seconds.
func (l *Log) Append(ctx context.Context, command domain.CreateClient) (acceptedAt time.Time, err error) {
	ctx, span := l.tracer.Start(ctx, "send client.create", trace.WithSpanKind(trace.SpanKindProducer))
	defer span.End()
	if span.IsRecording() {
		span.SetAttributes(
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(domain.StreamCommands),
			semconv.MessagingMessageID(command.ID.String()),
		)
	}
	parent := traceparent.Inject(ctx)
	err = l.publish(ctx, command.ID, func() *nats.Msg { return commandMessage(command, parent) })
	if errors.Is(err, errDuplicate) {
		acceptedAt, err = l.original(ctx, command)
	} else {
		acceptedAt = command.AcceptedAt
	}
	if err != nil {
		span.SetStatus(codes.Error, string(domain.CodeOf(err)))
	}
	return acceptedAt, err
}

// publish puts a message into the pool and waits until it is on disk.
func (l *Log) publish(ctx context.Context, id uuid.UUID, msg func() *nats.Msg) error {
	r := &request{id: id, msg: msg, answer: make(chan error, 1)}
	l.mu.Lock()
	l.pool = append(l.pool, r)
	l.mu.Unlock()
	l.signal()

	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if l.withdraw(r) {
			return domain.Errorf(domain.CodeUnavailable, "the log is busy: %w", ctx.Err())
		}
		return domain.Errorf(domain.CodeUnknown, "the log has not answered: %w", ctx.Err())
	}
}

// original compares a command that the log refused with the one that it has, and has that one synced: the server also tells
// of what it could not sync, or had not when it was killed.
func (l *Log) original(ctx context.Context, command domain.CreateClient) (acceptedAt time.Time, err error) {
	there, err := l.Find(ctx, command.ID)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound: // trimmed in this moment
		return time.Time{}, domain.Errorf(domain.CodeUnavailable, "the log has just let go of a command with this id")
	case err != nil:
		return time.Time{}, domain.Errorf(domain.CodeUnknown, "compare with the command on the log: %w", err)
	case there.Fingerprint != command.Fingerprint:
		return time.Time{}, domain.Errorf(domain.CodeKeyReused, "the log has another command under this id")
	}
	if err := l.sync(ctx); err != nil {
		return time.Time{}, domain.Errorf(domain.CodeUnknown, "sync the command on the log: %w", err)
	}
	return there.AcceptedAt, nil
}

// sync returns when everything is on disk that the log has now. The server syncs its files in order, so a message that is
// written and acknowledged does that.
func (l *Log) sync(ctx context.Context) error {
	id, err := domain.NewID()
	if err != nil {
		return err
	}
	return l.publish(ctx, id, func() *nats.Msg {
		return &nats.Msg{Subject: domain.SubjectSync + id.String(), Header: nats.Header{}}
	})
}

// Find returns the command with this id, or an error with domain.CodeNotFound if the log does not have it, or not any more.
func (l *Log) Find(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error) {
	msg, err := last(ctx, l.commands, domain.SubjectCreate+id.String())
	if err != nil {
		return domain.LoggedCommand{}, err
	}
	header, err := domain.CommandMessage{Header: msg.Header}.DecodeHeader()
	if err != nil {
		return domain.LoggedCommand{Sequence: msg.Sequence}, nil //nolint:nilerr // the worker will reject it
	}
	return domain.LoggedCommand{AcceptedAt: header.AcceptedAt, Fingerprint: header.Fingerprint, Sequence: msg.Sequence}, nil
}

// Rejection returns the rejection of the command with this id, or an error with domain.CodeNotFound.
func (l *Log) Rejection(ctx context.Context, id uuid.UUID) (domain.Rejection, error) {
	msg, err := last(ctx, l.rejections, domain.SubjectRejected+id.String())
	if err != nil {
		return domain.Rejection{}, err
	}
	return domain.ParseRejection(msg.Data)
}

func last(ctx context.Context, stream jetstream.Stream, subject string) (*jetstream.RawStreamMsg, error) {
	msg, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, domain.Errorf(domain.CodeNotFound, "nothing under %s", subject)
	}
	if err != nil {
		return nil, fmt.Errorf("get last message of %q: %w", subject, err)
	}
	return msg, nil
}

// Watch returns a channel that is told when the command with this id has its outcome, from now on, until stop is called. A
// command that is appended after Watch has returned cannot end unnoticed, unless the connection is lost meanwhile.
func (l *Log) Watch(id uuid.UUID) (ended <-chan struct{}, stop func(), err error) {
	told := make(chan struct{}, 1)
	subscription, err := l.stream.js.Conn().Subscribe(domain.SubjectCompleted+id.String(), func(*nats.Msg) {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, nil, domain.Errorf(domain.CodeUnavailable, "watch for the end of a command: %w", err)
	}
	return told, func() { _ = subscription.Unsubscribe() }, nil
}

// Ready returns nil when the server answers and has the streams; a *MissingStreamError when it lacks one.
func (l *Log) Ready(ctx context.Context) error {
	return streamsReady(ctx, l.stream.js, domain.StreamCommands, domain.StreamRejections)
}

func streamsReady(ctx context.Context, js jetstream.JetStream, names ...string) error {
	if nc := js.Conn(); !nc.IsConnected() {
		if refused := nc.LastError(); refused != nil {
			return fmt.Errorf("NATS cannot be reached: %w", refused)
		}
		return errors.New("NATS cannot be reached")
	}
	for _, name := range names {
		if _, err := openStream(ctx, js, name); err != nil {
			return err
		}
	}
	return nil
}

// withdraw takes a request back that nobody has begun to publish.
func (l *Log) withdraw(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.withdrawn = !r.taken
	return r.withdrawn
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log) run() {
	defer close(l.done)
	for range l.wake {
		for requests := l.take(); len(requests) > 0; requests = l.take() {
			l.flush(requests)
		}
		l.mu.Lock()
		closed := l.closed
		l.mu.Unlock()
		if closed {
			return
		}
	}
}

// take empties the pool, up to a batch of different ids.
func (l *Log) take() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := make([]*request, 0, min(len(l.pool), l.maxBatch))
	first := make(map[uuid.UUID]*request, cap(batch))
	taken := 0
	for _, r := range l.pool {
		if !r.withdrawn {
			if f, ok := first[r.id]; ok {
				f.same = append(f.same, r)
			} else if len(batch) < l.maxBatch {
				first[r.id] = r
				batch = append(batch, r)
			} else {
				break
			}
			r.taken = true
		}
		taken++
	}
	rest := copy(l.pool, l.pool[taken:])
	clear(l.pool[rest:])
	l.pool = l.pool[:rest]
	return batch
}

func (l *Log) flush(requests []*request) {
	began := time.Now()
	errs := l.stream.publish(len(requests), func(i int) *nats.Msg { return requests[i].msg() })
	l.duration.Observe(time.Since(began).Seconds())
	l.batch.Observe(float64(len(requests)))
	for i, r := range requests {
		r.answer <- errs[i]
		for _, s := range r.same {
			s.answer <- sameOutcome(errs[i])
		}
	}
}

// sameOutcome is what the outcome of a command means for another one with its id: if the first is on the log now, the
// other is a duplicate of it.
func sameOutcome(err error) error {
	if err == nil {
		return errDuplicate
	}
	return err
}

func commandMessage(c domain.CreateClient, traceparent string) *nats.Msg {
	m := domain.EncodeCommand(c, traceparent)
	return &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Body}
}
