package publisher

import (
	"context"
	"fmt"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Streams are the three streams as the one who erases a client sees them.
type Streams struct {
	js                           jetstream.JetStream
	commands, events, rejections jetstream.Stream
}

// OpenStreams returns the streams of the server that the connection leads to, or a *MissingStreamError.
func OpenStreams(ctx context.Context, nc *nats.Conn) (*Streams, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	s := &Streams{js: js}
	for _, open := range []struct {
		stream *jetstream.Stream
		name   string
	}{{&s.commands, domain.StreamCommands}, {&s.events, domain.StreamEvents}, {&s.rejections, domain.StreamRejections}} {
		if *open.stream, err = openStream(ctx, js, open.name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Pending says whether a worker may still have to do with the command of this id: it is on the log, and not below what is
// acknowledged without a gap.
func (s *Streams) Pending(ctx context.Context, id uuid.UUID) (bool, error) {
	command, err := last(ctx, s.commands, domain.SubjectCreate+id.String())
	if domain.CodeOf(err) == domain.CodeNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	worker, err := s.commands.Consumer(ctx, domain.ConsumerWorker)
	if err != nil {
		return false, fmt.Errorf("look up consumer %s: %w", domain.ConsumerWorker, err)
	}
	return command.Sequence > worker.CachedInfo().AckFloor.Stream, nil
}

// Erased counts the messages that were erased.
type Erased struct{ Commands, Rejections, Events int }

// Erase deletes every message about the client from the streams, and overwrites it on disk, then tells subscribers with
// client.erased. No event is older than since; it is zero where that is not known, which takes reading all headers that there
// are. Erasing again is right, and tells again; within the stream's memory of ids nobody is told twice.
func (s *Streams) Erase(ctx context.Context, id uuid.UUID, since time.Time) (erased Erased, err error) {
	for _, one := range []struct {
		stream  jetstream.Stream
		subject string
		n       *int
	}{
		{s.commands, domain.SubjectCreate + id.String(), &erased.Commands},
		{s.rejections, domain.SubjectRejected + id.String(), &erased.Rejections},
	} {
		msg, err := last(ctx, one.stream, one.subject)
		if domain.CodeOf(err) == domain.CodeNotFound {
			continue
		}
		if err != nil {
			return erased, err
		}
		if err := remove(ctx, one.stream, msg.Sequence); err != nil {
			return erased, err
		}
		*one.n++
	}
	sequences, err := s.eventsOf(ctx, id, since)
	if err != nil {
		return erased, err
	}
	for _, sequence := range sequences {
		if err := remove(ctx, s.events, sequence); err != nil {
			return erased, err
		}
		erased.Events++
	}
	if _, err := s.js.PublishMsg(ctx, erasedMessage(id, time.Now())); err != nil {
		return erased, fmt.Errorf("publish %s: %w", domain.SubjectErased, err)
	}
	return erased, nil
}

// eventsOf returns where the client.created of a client are. The stream has no subject for each client, so this reads headers.
func (s *Streams) eventsOf(ctx context.Context, id uuid.UUID, since time.Time) (sequences []uint64, err error) {
	last := s.events.CachedInfo().State.LastSeq
	if s.events.CachedInfo().State.Msgs == 0 {
		return nil, nil
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{domain.SubjectCreated}, HeadersOnly: true}
	if !since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	consumer, err := s.events.OrderedConsumer(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", domain.StreamEvents, err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", domain.StreamEvents, err)
	}
	if info.NumPending == 0 {
		return nil, nil
	}
	msgs, err := consumer.Messages()
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", domain.StreamEvents, err)
	}
	defer msgs.Stop()
	for {
		msg, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", domain.StreamEvents, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		if msg.Headers().Get("ce-subject") == id.String() {
			sequences = append(sequences, meta.Sequence.Stream)
		}
		if meta.NumPending == 0 || meta.Sequence.Stream >= last {
			return sequences, nil
		}
	}
}
