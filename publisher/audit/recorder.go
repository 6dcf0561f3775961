// Package audit writes and reads the audit trail: who read, changed or erased clients, and who was refused. The trail is the
// append-only stream CLIENT_AUDIT, with an optional copy in a file.
package audit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Config configures Open.
type Config struct {
	Conn *nats.Conn
	File File
	// Actor is the actor of records that have none.
	Actor domain.AuditActor
	// Metrics is where the recorder registers its metrics, or nil.
	Metrics prometheus.Registerer
}

// Recorder writes records. Concurrent calls share their writes, as those of publisher.Log do.
type Recorder struct {
	cfg      Config
	stream   *publisher.Publisher
	recorded *prometheus.CounterVec
	failed   prometheus.Counter
	writer   sync.WaitGroup

	mu      sync.Mutex
	writing bool
	pool    []*entry
}

// entry is a call of Record in progress.
type entry struct {
	records []domain.AuditRecord
	done    chan error // of capacity 1: the writer never waits for the caller
}

// Open returns a recorder for the server that the connection leads to. An error is a *streams.MissingError if the stream is
// missing, or a *FileError if the file cannot be written.
func Open(ctx context.Context, cfg Config) (*Recorder, error) {
	if err := cfg.File.Append(); err != nil {
		return nil, err
	}
	stream, err := publisher.OpenPublisher(ctx, cfg.Conn, domain.StreamAudit)
	if err != nil {
		return nil, err
	}
	with := promauto.With(cfg.Metrics)
	r := &Recorder{cfg: cfg, stream: stream}
	r.recorded = with.NewCounterVec(prometheus.CounterOpts{
		Name: "clientele_audit_records_total", Help: "Audit records on disk, by action.",
	}, []string{"action"})
	for _, action := range []domain.AuditAction{domain.AuditClientRead, domain.AuditRefused} {
		r.recorded.WithLabelValues(string(action)) // an alert needs the first value
	}
	r.failed = with.NewCounter(prometheus.CounterOpts{
		Name: "clientele_audit_failures_total", Help: "Attempts to write audit records that failed. What they record was not carried out.",
	})
	return r, nil
}

// NotRecordedError means that an action was not recorded, and must not be carried out.
type NotRecordedError struct{ Err error }

func (e *NotRecordedError) Error() string {
	return "this was not done, because it cannot be recorded: " + e.Err.Error()
}
func (e *NotRecordedError) Unwrap() error { return e.Err }

// Record completes the records with an id, the time and the actor, and returns nil when they are on disk. Act only then. The error is
// a *NotRecordedError: records may be on disk nevertheless.
func (r *Recorder) Record(ctx context.Context, records ...domain.AuditRecord) error {
	completed, err := r.complete(records)
	if err != nil {
		return &NotRecordedError{err}
	}
	return r.submit(ctx, completed)
}

// submit writes complete records.
func (r *Recorder) submit(ctx context.Context, records []domain.AuditRecord) error {
	e := &entry{records: records, done: make(chan error, 1)}
	r.mu.Lock()
	r.pool = append(r.pool, e)
	if !r.writing {
		r.writing = true
		r.writer.Go(r.write)
	}
	r.mu.Unlock()
	var err error
	select {
	case err = <-e.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return &NotRecordedError{err}
	}
	return nil
}

// complete returns the records with an id, the time, and an actor.
func (r *Recorder) complete(records []domain.AuditRecord) (_ []domain.AuditRecord, err error) {
	records = slices.Clone(records)
	for i := range records {
		if records[i].ID, err = domain.NewID(); err != nil {
			return nil, err
		}
		records[i].Time = domain.Timestamp(time.Now())
		if records[i].Actor == (domain.AuditActor{}) {
			records[i].Actor = r.cfg.Actor
		}
	}
	return records, nil
}

// write writes the pool until it is empty.
func (r *Recorder) write() {
	for entries := r.take(); len(entries) > 0; entries = r.take() {
		var records []domain.AuditRecord
		for _, e := range entries {
			records = append(records, e.records...)
		}
		err := r.append(records)
		for _, e := range entries {
			e.done <- err
		}
	}
}

func (r *Recorder) take() []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := r.pool
	r.pool = nil
	r.writing = len(entries) > 0
	return entries
}

// append writes to the stream first: a Collector tries that again during an outage, which would repeat the lines in the file.
func (r *Recorder) append(records []domain.AuditRecord) error {
	err := r.publish(records)
	if err == nil {
		err = r.cfg.File.Append(records...)
	}
	if err != nil {
		r.failed.Inc()
		return err
	}
	for _, record := range records {
		r.recorded.WithLabelValues(string(record.Action)).Inc()
	}
	return nil
}

func (r *Recorder) publish(records []domain.AuditRecord) error {
	msgs := make([]*nats.Msg, len(records))
	for i, record := range records {
		body, err := record.JSON()
		if err != nil {
			return err
		}
		msgs[i] = &nats.Msg{Subject: record.Subject(), Data: body, Header: nats.Header{
			jetstream.MsgIDHeader: {record.ID.String()}, "Content-Type": {"application/json"},
		}}
	}
	return r.stream.Publish(len(msgs), func(i int) *nats.Msg { return msgs[i] })
}

// Act records that an action starts, carries it out, and records how it has ended: as unknown if its error has domain.CodeUnknown. If the
// start cannot be recorded, it does nothing and returns a *NotRecordedError. do may set the result and the count of the record.
func (r *Recorder) Act(ctx context.Context, record domain.AuditRecord, do func(end *domain.AuditRecord) error) error {
	record.Result = domain.AuditStarted
	if err := r.Record(ctx, record); err != nil {
		return err
	}
	record.Result = domain.AuditSucceeded
	err := do(&record)
	if err != nil && record.Result == domain.AuditSucceeded {
		record.Result = domain.AuditFailed
		if domain.CodeOf(err) == domain.CodeUnknown {
			record.Result = domain.AuditUnknown
		}
	}
	return r.End(ctx, err, record)
}

// endTimeout bounds the record of an end, with attempts that fail, such as while the servers elect a leader of the stream.
const (
	endTimeout  = 10 * time.Second
	endInterval = 250 * time.Millisecond
)

// UnrecordedEndError means that an action was carried out, but only its start is recorded.
type UnrecordedEndError struct{ Err error }

func (e *UnrecordedEndError) Error() string {
	return "this was done, but only its start is recorded: " + e.Err.Error()
}
func (e *UnrecordedEndError) Unwrap() error { return e.Err }

// End records the ends of actions, even if the context has ended. It returns err, the error of the actions, or an *UnrecordedEndError.
func (r *Recorder) End(ctx context.Context, err error, records ...domain.AuditRecord) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if failed, ok := errors.AsType[*NotRecordedError](r.recordEnds(ctx, records)); ok && err == nil {
		return &UnrecordedEndError{failed.Err}
	}
	return err
}

// recordEnds tries again until the context ends. The stream stores a record once, because it keeps its id.
func (r *Recorder) recordEnds(ctx context.Context, records []domain.AuditRecord) error {
	completed, err := r.complete(records)
	if err != nil {
		return &NotRecordedError{err}
	}
	for {
		err := r.submit(ctx, completed)
		if err == nil || r.isLost(ctx) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(endInterval):
		}
	}
}

// isLost reports whether no further attempt can succeed: the stream, the file or the connection is lost.
func (r *Recorder) isLost(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := r.Ready(ctx)
	_, stream := errors.AsType[*streams.MissingError](err)
	_, file := errors.AsType[*FileError](err)
	return stream || file || r.cfg.Conn.IsClosed()
}

// Ready returns nil if records can be written: the server answers and has the stream, or else a *streams.MissingError.
func (r *Recorder) Ready(ctx context.Context) error {
	if err := r.cfg.File.Append(); err != nil {
		return err
	}
	return r.stream.Ready(ctx)
}
