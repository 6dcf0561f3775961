package publisher

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// EventsConfig configures ReadEvents.
type EventsConfig struct {
	// Stream is the stream to read, in place of that of the events.
	Stream string
	// Since is the time of the first event; the zero time means the oldest event.
	Since time.Time
	// First is the sequence of the first event, in place of Since; 0 means Since.
	First uint64
	// Next begins with the first event that is stored after ReadEvents, whatever Since and First are.
	Next bool
	// UpToNow ends with the last event that was stored before ReadEvents.
	UpToNow bool
	// Subjects are the subjects to read; nil means all of the stream.
	Subjects []string
	// HeadersOnly leaves out the bodies, which are personal data.
	HeadersOnly bool
}

// EventReader reads the events in the order of the stream.
type EventReader struct {
	stream  string
	msgs    jetstream.MessagesContext
	remove  func() // deletes the consumer, which the server would keep for minutes
	upToNow bool
	last    uint64 // sequence of the last event that was stored before ReadEvents
	end     bool
}

// ReadEvents returns a reader, or a *streams.MissingError. The caller closes it.
func ReadEvents(ctx context.Context, js jetstream.JetStream, cfg EventsConfig) (*EventReader, error) {
	name := cmp.Or(cfg.Stream, domain.StreamEvents)
	stream, err := streams.Open(ctx, js, name)
	if err != nil {
		return nil, err
	}
	r := &EventReader{stream: name, upToNow: cfg.UpToNow, last: stream.CachedInfo().State.LastSeq}
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
	if err == nil {
		r.end = cfg.UpToNow && info.NumPending == 0
		r.msgs, err = consumer.Messages()
	}
	if err != nil {
		r.remove()
		return nil, fmt.Errorf("read stream %s: %w", name, err)
	}
	return r, nil
}

// Next waits for the next event. It returns io.EOF after the last one, if the configuration says UpToNow.
func (r *EventReader) Next(ctx context.Context) (jetstream.Msg, error) {
	if r.end {
		return nil, io.EOF
	}
	msg, err := r.msgs.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", r.stream, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", r.stream, err)
	}
	r.end = r.upToNow && (meta.NumPending == 0 || meta.Sequence.Stream >= r.last)
	return msg, nil
}

// Close releases the reader.
func (r *EventReader) Close() {
	r.msgs.Stop()
	r.remove()
}
