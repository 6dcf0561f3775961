// Package reader reads the events of a stream, or the records of the audit trail.
package reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"clientele/domain"
	"clientele/publisher/leader"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// Config configures Open.
type Config struct {
	// Stream is the stream to read, in place of that of the events.
	Stream string
	// Since is the time of the first event; the zero time means the oldest event.
	Since time.Time
	// First is the sequence of the first event, in place of Since; 0 means Since.
	First uint64
	// Next begins with the first event that is stored after Open, whatever Since and First are.
	Next bool
	// UpToNow ends with the last event that was stored before Open.
	UpToNow bool
	// Subjects are the subjects to read; nil means all of the stream.
	Subjects []string
	// HeadersOnly leaves out the bodies, which are personal data.
	HeadersOnly bool
}

// Reader reads the events in the order of the stream.
type Reader struct {
	js       jetstream.JetStream
	stream   jetstream.Stream
	name     string
	subjects []string
	msgs     jetstream.MessagesContext
	remove   func() // deletes the consumer, which the server would keep for minutes
	upToNow  bool
	last     uint64 // sequence of the last event that was stored before Open
	read     uint64 // sequence of the last event that was read, or where the reader began
	end      bool
	behind   bool // the server of the consumer has to receive events that the leader has
}

// Open returns a reader, or a *streams.MissingError. The caller closes it.
func Open(ctx context.Context, js jetstream.JetStream, cfg Config) (*Reader, error) {
	name := cmp.Or(cfg.Stream, domain.StreamEvents)
	stream, err := streams.Open(ctx, js, name)
	if err != nil {
		return nil, err
	}
	r := &Reader{
		js: js, stream: stream, name: name, subjects: cfg.Subjects, upToNow: cfg.UpToNow, last: stream.CachedInfo().State.LastSeq,
	}
	if len(r.subjects) == 0 {
		r.subjects = []string{">"}
	}
	ordered := jetstream.OrderedConsumerConfig{FilterSubjects: cfg.Subjects, HeadersOnly: cfg.HeadersOnly}
	switch {
	case cfg.Next:
		// With DeliverNew, events would be missing when the library recreates the consumer.
		ordered.DeliverPolicy, ordered.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.last+1
	case cfg.First > 0:
		ordered.DeliverPolicy, ordered.OptStartSeq = jetstream.DeliverByStartSequencePolicy, cfg.First
	case !cfg.Since.IsZero():
		ordered.DeliverPolicy, ordered.OptStartTime = jetstream.DeliverByStartTimePolicy, &cfg.Since
	}
	consumer, err := js.OrderedConsumer(ctx, name, ordered)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", name, err)
	}
	r.remove = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = js.DeleteConsumer(ctx, name, consumer.CachedInfo().Name)
	}
	info, err := consumer.Info(ctx)
	if err == nil { // before the first delivery, it reports where it begins
		err = r.passed(ctx, info.Delivered.Stream, info.NumPending)
	}
	if err == nil {
		r.msgs, err = consumer.Messages()
	}
	if err != nil {
		r.remove()
		return nil, fmt.Errorf("read stream %s: %w", name, err)
	}
	return r, nil
}

// behindTimeout bounds the wait for an event that the leader has.
const behindTimeout = 10 * time.Second

// Next waits for the next event. It returns io.EOF after the last one, if the configuration says UpToNow.
func (r *Reader) Next(ctx context.Context) (jetstream.Msg, error) {
	if r.end {
		return nil, io.EOF
	}
	if r.behind {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, behindTimeout)
		defer cancel()
	}
	msg, err := r.next(ctx)
	if errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", r.name, err)
	}
	meta, err := msg.Metadata()
	if err == nil {
		err = r.passed(ctx, meta.Sequence.Stream, meta.NumPending)
	}
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", r.name, err)
	}
	return msg, nil
}

// lookInterval is how often a reader up to now that waits for an event asks whether it still exists.
const lookInterval = time.Second

// next waits for the next message. It returns io.EOF if those that a reader up to now waits for were removed meanwhile. The wait is one call,
// because the library notices the loss of its consumer only within a call.
func (r *Reader) next(ctx context.Context) (jetstream.Msg, error) {
	if !r.upToNow {
		return r.msgs.Next(jetstream.NextContext(ctx))
	}
	waiting, cancel := context.WithCancelCause(ctx)
	read, ended := r.read, make(chan struct{})
	looks := time.AfterFunc(lookInterval, func() {
		defer close(ended)
		for {
			if more, err := r.more(waiting, read); err == nil && !more {
				cancel(io.EOF)
			}
			if !pause(waiting, lookInterval) {
				return
			}
		}
	})
	defer func() {
		cancel(nil)
		if !looks.Stop() {
			<-ended
		}
	}()
	msg, err := r.msgs.Next(jetstream.NextContext(waiting))
	if err != nil && errors.Is(context.Cause(waiting), io.EOF) {
		err = io.EOF
	}
	return msg, err
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// passed notes whether an event was the last one. The consumer is on one server of the stream, which can be behind: if it has no more
// events, the leader is asked.
func (r *Reader) passed(ctx context.Context, sequence, pending uint64) (err error) {
	r.read, r.end, r.behind = sequence, r.upToNow && sequence >= r.last, false
	if !r.upToNow || r.end || pending > 0 {
		return nil
	}
	r.behind, err = r.more(ctx, sequence)
	r.end = err == nil && !r.behind
	return err
}

// more asks the leader whether it has events after a sequence that a reader up to now has to read.
func (r *Reader) more(ctx context.Context, sequence uint64) (bool, error) {
	for _, subject := range r.subjects {
		next, err := leader.Next(ctx, r.js, r.stream, subject, sequence+1)
		if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
			return false, err
		}
		if err == nil && next.Sequence <= r.last {
			return true, nil
		}
	}
	return false, nil
}

// Last returns the sequence of the last event that was stored before Open.
func (r *Reader) Last() uint64 { return r.last }

// Close releases the reader.
func (r *Reader) Close() {
	r.msgs.Stop()
	r.remove()
}
