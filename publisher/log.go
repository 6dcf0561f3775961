package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"clientele/domain"
	"clientele/domain/traceparent"
	"clientele/publisher/bulk"
	"clientele/publisher/streams"

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

const (
	// patience limits how long the commands of a refused batch are published singly. The next batch waits as long, and its callers still
	// receive an answer in time.
	patience = 2 * time.Second
	// findTimeout limits the look-up of the duplicates of a batch.
	findTimeout = time.Second
)

// Log is the command log for an ingress: it appends commands and looks up their outcomes.
//
// Appending is a group commit. One goroutine publishes; while it waits for the stream, requests gather in a pool, and the
// next publish sends all of them. A request waits for others for up to 4 ms, and only after a batch: many requests share one fsync.
type Log struct {
	lookup

	stream   bulk.Stream
	pool     *pool
	batch    prometheus.Histogram
	duration prometheus.Histogram
	tracer   trace.Tracer
	lost     lostOutcomes
	recent   recent
	done     chan struct{}
}

// LogConfig configures OpenLog.
type LogConfig struct {
	Conn *nats.Conn
	// MaxBatch is the most commands published at once; 0 means the default, 500. With 1 there is no group commit.
	MaxBatch int
	// Metrics is where the log registers its metrics, or nil.
	Metrics prometheus.Registerer
	// Traces receives a span for each published command; nil means none.
	Traces trace.TracerProvider
}

// OpenLog returns the log of the server that the connection leads to, or a *streams.MissingError.
func OpenLog(ctx context.Context, cfg LogConfig) (*Log, error) {
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	l := &Log{pool: newPool(cmp.Or(cfg.MaxBatch, bulk.MaxBatch)), done: make(chan struct{}), tracer: noop.Tracer{}}
	if cfg.Traces != nil {
		l.tracer = cfg.Traces.Tracer("clientele/publisher")
	}
	if l.lookup, err = openLookup(ctx, js); err != nil {
		return nil, err
	}
	if l.stream, err = bulk.NewStream(cfg.Conn); err != nil {
		return nil, err
	}
	l.stream.Patience = patience
	with := promauto.With(cfg.Metrics)
	l.batch = with.NewHistogram(prometheus.HistogramOpts{
		Name: "clientele_log_publish_batch_commands", Help: "Commands published to the log at once.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 10),
	})
	l.duration = with.NewHistogram(prometheus.HistogramOpts{
		Name: "clientele_log_publish_duration_seconds", Help: "Time until the log acknowledged or refused a batch.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	})
	l.lost.asked = map[uuid.UUID]time.Time{}
	l.lost.total = with.NewCounter(prometheus.CounterOpts{
		Name: "clientele_log_lost_outcomes_total",
		Help: "Completed commands without an outcome that this ingress found, and asked a worker to process again.",
	})
	go func() { // a batch has many requests, and no context of one may cancel it
		defer close(l.done)
		l.pool.run(l.flush)
	}()
	return l, nil
}

// Close publishes the requests in the pool and stops. Do not call Append afterwards.
func (l *Log) Close() {
	l.pool.close()
	<-l.done
}

// Append puts the command on the log and returns the time at which it was accepted: now, or earlier if the log already has
// the same command. When Append returns without an error, the command is on disk.
//
// An error has a code: domain.CodeKeyReused if the log has another command under this id; domain.CodeUnavailable and
// domain.CodeLogFull if the command was not accepted; domain.CodeUnknown if it may have been accepted, because the log did
// not answer before the context ended or within four seconds.
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
	acceptedAt, err = l.accept(ctx, command, traceparent.Inject(ctx))
	if err != nil {
		span.SetStatus(codes.Error, string(domain.CodeOf(err)))
	}
	return acceptedAt, err
}

// accept is Append without its span. It looks first for a command that was published lately: most of them are still on the log, which
// would refuse the whole batch.
func (l *Log) accept(ctx context.Context, command domain.CreateClient, parent string) (acceptedAt time.Time, err error) {
	if l.recent.has(command.ID) {
		logged, err := l.Find(ctx, command.ID)
		if domain.CodeOf(err) != domain.CodeNotFound {
			return l.compare(ctx, command, logged, err)
		}
	}
	err = l.publishCommand(ctx, command, parent)
	if errors.Is(err, bulk.ErrDuplicate) || domain.CodeOf(err) == domain.CodeLogFull && domain.IsKeyed(command.ID) {
		return l.original(ctx, command, err)
	}
	return command.AcceptedAt, err
}

func (l *Log) publishCommand(ctx context.Context, command domain.CreateClient, parent string) error {
	return l.publish(ctx, &request{
		id: command.ID, acceptedAt: command.AcceptedAt, msg: func() *nats.Msg { return commandMessage(command, parent) },
	})
}

// publish puts a message into the pool and waits until it is on disk.
func (l *Log) publish(ctx context.Context, r *request) error {
	r.answer = make(chan error, 1)
	l.pool.add(r)
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if l.pool.withdraw(r) {
			return domain.Errorf(domain.CodeUnavailable, "the log is busy: %w", ctx.Err())
		}
		return domain.Errorf(domain.CodeUnknown, "no acknowledgement from the log: %w", ctx.Err())
	}
}

// original compares a refused command with the one on the log. A server checks some of its limits first, so a full log also refuses
// a command that it has.
func (l *Log) original(ctx context.Context, command domain.CreateClient, refusal error) (acceptedAt time.Time, err error) {
	logged, err := l.FindLatest(ctx, command.ID)
	if domain.CodeOf(refusal) == domain.CodeLogFull && (domain.CodeOf(err) == domain.CodeNotFound || bulk.IsStreamFull(err)) {
		return time.Time{}, refusal
	}
	return l.compare(ctx, command, logged, err)
}

// compare returns when the command on the log was accepted, if it is the same and on disk. failure is the error of its look-up.
func (l *Log) compare(ctx context.Context, command domain.CreateClient, logged domain.LoggedCommand, failure error) (acceptedAt time.Time, err error) {
	switch {
	case failure != nil: // a command that is no longer on the log has an outcome
		return time.Time{}, domain.Errorf(domain.CodeUnknown, "compare with the command on the log: %w", failure)
	case logged.Fingerprint != command.Fingerprint:
		return time.Time{}, domain.Errorf(domain.CodeKeyReused, "the log has another command under this id")
	case l.recent.isOnDisk(command.ID, logged.AcceptedAt):
		return logged.AcceptedAt, nil
	}
	if err := l.sync(ctx); err != nil {
		return time.Time{}, domain.Errorf(domain.CodeUnknown, "sync the command on the log: %w", err)
	}
	l.recent.acknowledged(command.ID, logged.AcceptedAt)
	return logged.AcceptedAt, nil
}

// sync returns when every message that the log returned before is on disk. One server also returns messages that it has not synced. It
// syncs its files in order, so the acknowledgement of a new message is enough. Replicas return only what a majority has synced.
func (l *Log) sync(ctx context.Context) error {
	if isReplicated(l.commands) {
		return nil
	}
	err := l.publish(ctx, &request{id: sharedSync, msg: func() *nats.Msg { return syncMessage("sync") }})
	if errors.Is(err, bulk.ErrDuplicate) { // the message of another request is on disk
		return nil
	}
	return err
}

// sharedSync is the id of requests for the acknowledgement of any message: those in the pool share one. Like every version 7, it is not
// the id of a key.
var sharedSync = uuid.UUID{6: 7 << 4}

// syncMessage returns a new sync with this body. An empty message would end the response to a worker's request in another account, see
// deploy/nats/accounts.conf.
func syncMessage(body string) *nats.Msg {
	return &nats.Msg{Subject: domain.SubjectSync + uuid.NewString(), Header: nats.Header{}, Data: []byte(body)}
}

// FindLatest is Find, except that domain.CodeNotFound means that during the call the log did not have the command. It waits for a
// replica that is behind. With several replicas, a command that is not on the log costs a write.
//
// After any other error, the log may have the command.
func (l *Log) FindLatest(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error) {
	return latest(ctx, l.commands,
		func() (domain.LoggedCommand, error) { return l.Find(ctx, id) },
		func() (bool, error) { return l.leaderHas(ctx, id) })
}

// leaderHas reports whether the log has the command. An ingress has no right to read from the leader, so it publishes. The answer false
// is a message on the log, so that it is true even if the server that was the leader is cut off from the others: it can no longer store
// one.
func (l *Log) leaderHas(ctx context.Context, id uuid.UUID) (bool, error) {
	msg := syncMessage("sync")
	msg.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{"0"}
	msg.Header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{domain.SubjectCreate + id.String()}
	err := l.stream.PublishOne(ctx, msg) // its refusal would refuse a whole batch
	api, answered := errors.AsType[*jetstream.APIError](err)
	// The second code also means that the message is being replicated, or that another request asks the same.
	if answered && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return true, nil
	}
	return false, err
}

// RejectionLatest is Rejection, except that domain.CodeNotFound means that the leader does not have the rejection. It waits for a
// replica that is behind.
func (l *Log) RejectionLatest(ctx context.Context, id uuid.UUID) (domain.Rejection, error) {
	return latest(ctx, l.rejections,
		func() (domain.Rejection, error) { return l.Rejection(ctx, id) },
		func() (bool, error) {
			info, err := l.rejections.Info(ctx, jetstream.WithSubjectFilter(domain.SubjectRejected+id.String()))
			if err != nil {
				return false, fmt.Errorf("ask the leader of %s: %w", domain.StreamRejections, err)
			}
			return len(info.State.Subjects) > 0, nil
		})
}

// Completed reports whether the workers have completed the command at this sequence, so that its outcome is on disk unless it was lost
// since. It reads the ack floor at most once a second. So it also returns false for a command that was completed since the last time.
func (l *Log) Completed(ctx context.Context, sequence uint64) bool {
	return l.lost.completed(ctx, l.commands, sequence)
}

// ProcessAgain asks a worker to process a completed command again, and reports whether it did. It does not if it has asked for any
// command within a second, or for this one within ten.
func (l *Log) ProcessAgain(ctx context.Context, command uuid.UUID) (bool, error) {
	if !l.lost.due(command, time.Now()) {
		return false, nil
	}
	l.lost.total.Inc()
	return true, l.publish(ctx, &request{id: uuid.New(), msg: func() *nats.Msg { return syncMessage(command.String()) }})
}

// Watch returns a channel that receives a value when the outcome of the command with this id is on disk. It listens until
// you call stop. If you append the command after Watch returns, a lost connection is the only way to miss the notice.
func (l *Log) Watch(id uuid.UUID) (completed <-chan struct{}, stop func(), err error) {
	notice := make(chan struct{}, 1)
	subscription, err := l.stream.JS.Conn().Subscribe(domain.SubjectCompleted+id.String(), func(*nats.Msg) {
		select {
		case notice <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, nil, domain.Errorf(domain.CodeUnavailable, "watch for the outcome of a command: %w", err)
	}
	return notice, func() { _ = subscription.Unsubscribe() }, nil
}

// KeyedID returns the id of the command that this caller sent under this idempotency key, see domain.KeyedID.
func (l *Log) KeyedID(caller, key string) uuid.UUID {
	return domain.KeyedID(streams.SecretOf(l.commands.CachedInfo().Config), caller, key)
}

// Ready returns nil if the server answers and has the streams, or a *streams.MissingError if one is missing.
func (l *Log) Ready(ctx context.Context) error {
	if err := streams.Exist(ctx, l.stream.JS, domain.StreamCommands, domain.StreamRejections); err != nil {
		return err
	}
	_, err := l.commands.Info(ctx) // a log that was created again has another secret, which CachedInfo then returns
	return err
}

func (l *Log) flush(requests []*request) {
	for _, r := range requests {
		if domain.IsKeyed(r.id) {
			l.recent.published(r.id)
		}
	}
	began := time.Now()
	errs := l.stream.Publish(len(requests),
		func(i int) *nats.Msg { return requests[i].msg() },
		func(few []int) []bool { return l.onLog(requests, few) })
	l.duration.Observe(time.Since(began).Seconds())
	l.batch.Observe(float64(len(requests)))
	for i, r := range requests {
		if errs[i] == nil && domain.IsKeyed(r.id) {
			l.recent.acknowledged(r.id, r.acceptedAt)
		}
	}
	for i, r := range requests {
		r.answer <- errs[i]
		for _, s := range r.same {
			s.answer <- sameOutcome(errs[i])
		}
	}
}

// onLog reports which of the requests have an id that the log has. Only ids of keys can be on the log already. An ingress may read
// commands by their id only, not several with one request.
func (l *Log) onLog(requests []*request, few []int) []bool {
	ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
	defer cancel()
	found := make([]bool, len(few))
	var wg sync.WaitGroup
	for i, request := range few {
		if id := requests[request].id; domain.IsKeyed(id) {
			wg.Go(func() {
				_, err := l.Find(ctx, id)
				found[i] = err == nil
			})
		}
	}
	wg.Wait()
	return found
}

// sameOutcome returns the outcome of a second command with the same id: if the first one is on the log now, the second is a
// duplicate.
func sameOutcome(err error) error {
	if err == nil {
		return bulk.ErrDuplicate
	}
	return err
}

func commandMessage(c domain.CreateClient, traceparent string) *nats.Msg {
	m := domain.EncodeCommand(c, traceparent)
	return &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Body}
}
