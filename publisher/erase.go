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

// Admin are the three streams as the one who erases a client sees them.
type Admin struct {
	js                           jetstream.JetStream
	commands, events, rejections jetstream.Stream
}

// OpenAdmin returns the streams of the server that the connection leads to, or a *MissingStreamError.
func OpenAdmin(ctx context.Context, nc *nats.Conn) (*Admin, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	a := &Admin{js: js}
	for _, open := range []struct {
		stream *jetstream.Stream
		name   string
	}{{&a.commands, domain.StreamCommands}, {&a.events, domain.StreamEvents}, {&a.rejections, domain.StreamRejections}} {
		if *open.stream, err = openStream(ctx, js, open.name); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Pending says whether a worker may still have to do with the command of this id: it is on the log, and not below what is
// acknowledged without a gap.
func (a *Admin) Pending(ctx context.Context, id uuid.UUID) (bool, error) {
	command, err := last(ctx, a.commands, domain.SubjectCreate+id.String())
	if domain.CodeOf(err) == domain.CodeNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	worker, err := a.commands.Consumer(ctx, domain.ConsumerWorker)
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
func (a *Admin) Erase(ctx context.Context, id uuid.UUID, since time.Time) (erased Erased, err error) {
	for _, one := range []struct {
		stream  jetstream.Stream
		subject string
		n       *int
	}{
		{a.commands, domain.SubjectCreate + id.String(), &erased.Commands},
		{a.rejections, domain.SubjectRejected + id.String(), &erased.Rejections},
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
	sequences, err := a.eventsOf(ctx, id, since)
	if err != nil {
		return erased, err
	}
	for _, sequence := range sequences {
		if err := remove(ctx, a.events, sequence); err != nil {
			return erased, err
		}
		erased.Events++
	}
	if _, err := a.js.PublishMsg(ctx, erasedMessage(id, time.Now())); err != nil {
		return erased, fmt.Errorf("publish %s: %w", domain.SubjectErased, err)
	}
	return erased, nil
}

// eventsOf returns where the client.created of a client are. The stream has no subject for each client, so this reads headers.
func (a *Admin) eventsOf(ctx context.Context, id uuid.UUID, since time.Time) (sequences []uint64, err error) {
	last := a.events.CachedInfo().State.LastSeq
	if a.events.CachedInfo().State.Msgs == 0 {
		return nil, nil
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{domain.SubjectCreated}, HeadersOnly: true}
	if !since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	consumer, err := a.events.OrderedConsumer(ctx, cfg)
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
