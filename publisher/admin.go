package publisher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Admin erases clients and replays events across the three streams.
type Admin struct {
	js                           jetstream.JetStream
	commands, events, rejections jetstream.Stream
}

// OpenAdmin opens the streams of the connected server, or returns a *MissingStreamError.
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

// Conn returns the connection.
func (a *Admin) Conn() *nats.Conn { return a.js.Conn() }

// Pending reports whether a worker may still process the command with this id: it is on the log and not known to be finished.
func (a *Admin) Pending(ctx context.Context, id uuid.UUID) (bool, error) {
	command, err := last(ctx, a.commands, domain.SubjectCreate+id.String())
	if domain.CodeOf(err) == domain.CodeNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	done, err := isDone(ctx, a.commands, command.Sequence)
	return err == nil && !done, err
}

// MissingConsumerError means that the consumer of the workers does not exist. Without its acknowledgements, finished commands
// cannot be told from pending ones.
type MissingConsumerError struct{}

func (*MissingConsumerError) Error() string {
	return "consumer " + domain.ConsumerWorker + " is missing, so it is unknown which commands have completed"
}

// isDone reports whether the command at this sequence of the log is finished: it is at or below the ack floor.
// An acknowledgement above the floor does not count yet. Read the command first: then it cannot count as done too early.
func isDone(ctx context.Context, commands jetstream.Stream, sequence uint64) (bool, error) {
	worker, err := commands.Consumer(ctx, domain.ConsumerWorker)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false, &MissingConsumerError{}
	}
	if err != nil {
		return false, fmt.Errorf("look up consumer %s: %w", domain.ConsumerWorker, err)
	}
	return sequence <= worker.CachedInfo().AckFloor.Stream, nil
}

// Erased counts the messages about a client that were erased.
type Erased struct{ Commands, Rejections, Events int }

// Erase deletes every message about the clients from the streams, overwrites it on disk, and publishes client.erased for each.
// Result i belongs to id i. Erase the rows first: workers publish no event of a client whose id has a tombstone.
//
// Erase reads the headers of all events, once for all ids. After an error some messages may be left: erase the clients again.
func (a *Admin) Erase(ctx context.Context, ids []uuid.UUID) ([]Erased, error) {
	erased := make([]Erased, len(ids))
	index := make(map[string]*Erased, len(ids))
	for i, id := range ids {
		index[id.String()] = &erased[i]
		if err := a.eraseLatest(ctx, id, &erased[i]); err != nil {
			return erased, err
		}
	}
	next, err := a.eraseEvents(ctx, index, 1)
	if err != nil {
		return erased, err
	}
	for _, id := range ids {
		if _, err := a.js.PublishMsg(ctx, erasedMessage(id, time.Now())); err != nil {
			return erased, fmt.Errorf("publish %s: %w", domain.SubjectErased, err)
		}
	}
	// A worker may have published an event since the first pass ended. This one ends after client.erased.
	_, err = a.eraseEvents(ctx, index, next)
	return erased, err
}

// eraseLatest erases the command and the rejection of a client. Their streams keep one message for each id.
func (a *Admin) eraseLatest(ctx context.Context, id uuid.UUID, erased *Erased) error {
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
			return err
		}
		if err := remove(ctx, one.stream, msg.Sequence); err != nil {
			return err
		}
		*one.n++
	}
	return nil
}

// eraseEvents erases the client.created events of clients, from a sequence of the stream up to its end. It returns the sequence
// after that end. The stream has no subject for each client, so eraseEvents reads headers.
func (a *Admin) eraseEvents(ctx context.Context, erased map[string]*Erased, first uint64) (next uint64, err error) {
	r, err := ReadEvents(ctx, a.js, EventsConfig{First: first, UpToNow: true, Subjects: []string{domain.SubjectCreated}, HeadersOnly: true})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for {
		msg, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return r.last + 1, nil
		}
		if err != nil {
			return 0, err
		}
		client := erased[msg.Headers().Get("ce-subject")]
		if client == nil {
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return 0, err
		}
		if err := remove(ctx, a.events, meta.Sequence.Stream); err != nil {
			return 0, err
		}
		client.Events++
	}
}

// remove deletes one message and overwrites it on disk. A message that is already deleted is no error.
func remove(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.SecureDeleteMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		// The server's error does not tell whether the message exists.
		if _, lookUp := stream.GetMsg(ctx, sequence); errors.Is(lookUp, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete message %d of stream %s: %w", sequence, stream.CachedInfo().Config.Name, err)
	}
	return nil
}

// Replay publishes the events again with the same ids and bodies: to their stream, or to the current subscribers of another
// subject, if you name one. The stream stores them even if it remembers their ids.
func (a *Admin) Replay(ctx context.Context, events []domain.Event, subject string) error {
	again := func(i int) *nats.Msg {
		msg := eventMessage(events[i])
		msg.Header.Del(jetstream.MsgIDHeader)
		return msg
	}
	if subject != "" {
		return replayTo(ctx, a.js.Conn(), subject, len(events), again)
	}
	to, err := OpenPublisher(ctx, a.js.Conn(), domain.StreamEvents)
	if err != nil {
		return err
	}
	return to.Publish(len(events), again) //nolint:contextcheck // it has a timeout of its own
}

// replayTo publishes messages to a subject that no stream stores and returns when the server has processed them. The error is
// nats.ErrPermissionViolation if the server refused one.
func replayTo(ctx context.Context, nc *nats.Conn, subject string, n int, build func(i int) *nats.Msg) error {
	for i := range n {
		msg := build(i)
		msg.Subject = subject
		if err := nc.PublishMsg(msg); err != nil {
			return fmt.Errorf("publish to %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout) // a flush requires a deadline
	defer cancel()
	err := nc.FlushWithContext(ctx)
	if refused := nc.LastError(); err == nil && errors.Is(refused, nats.ErrPermissionViolation) {
		err = refused // a refusal arrives before the end of the flush
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", subject, err)
	}
	return nil
}
