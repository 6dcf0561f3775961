package publisher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher/bulk"
	"clientele/publisher/leader"
	"clientele/publisher/reader"
	"clientele/publisher/streams"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Admin erases clients and replays events across the three streams.
type Admin struct {
	lookup

	js     jetstream.JetStream
	events jetstream.Stream
}

// OpenAdmin opens the streams of the connected server, or returns a *streams.MissingError.
func OpenAdmin(ctx context.Context, nc *nats.Conn) (*Admin, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	a := &Admin{js: js}
	if a.lookup, err = openLookup(ctx, js); err != nil {
		return nil, err
	}
	a.last = func(ctx context.Context, stream jetstream.Stream, subject string) (*jetstream.RawStreamMsg, error) {
		return leader.Last(ctx, js, stream, subject)
	}
	a.events, err = streams.Open(ctx, js, domain.StreamEvents)
	return a, err
}

// JetStream returns the streams' server.
func (a *Admin) JetStream() jetstream.JetStream { return a.js }

// Pending reports whether a worker may still process the command with this id: it is on the log and not known to be finished.
func (a *Admin) Pending(ctx context.Context, id uuid.UUID) (bool, error) {
	command, err := a.last(ctx, a.commands, domain.SubjectCreate+id.String())
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

// eraseLatest erases the command and the rejection of a client.
func (a *Admin) eraseLatest(ctx context.Context, id uuid.UUID, erased *Erased) error {
	return a.latest(ctx, id, func(stream jetstream.Stream, msg *jetstream.RawStreamMsg) error {
		if stream == a.commands {
			erased.Commands++
		} else {
			erased.Rejections++
		}
		return leader.Remove(ctx, a.js, stream, msg.Sequence)
	})
}

// eraseEvents erases the client.created events of clients, from a sequence of the stream on. It returns where it ended.
func (a *Admin) eraseEvents(ctx context.Context, erased map[string]*Erased, first uint64) (next uint64, err error) {
	return a.scan(ctx, first, []string{domain.SubjectCreated}, func(id string, sequence uint64) error {
		if client := erased[id]; client != nil {
			client.Events++
			return leader.Remove(ctx, a.js, a.events, sequence)
		}
		return nil
	})
}

// latest calls f with the command and the rejection of a client, if they exist. Their streams keep one message for each id.
func (a *Admin) latest(ctx context.Context, id uuid.UUID, f func(jetstream.Stream, *jetstream.RawStreamMsg) error) error {
	for _, one := range []struct {
		stream jetstream.Stream
		prefix string
	}{{a.commands, domain.SubjectCreate}, {a.rejections, domain.SubjectRejected}} {
		msg, err := a.last(ctx, one.stream, one.prefix+id.String())
		if domain.CodeOf(err) == domain.CodeNotFound {
			continue
		}
		if err == nil {
			err = f(one.stream, msg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scan calls f with the client id and the sequence of each event with these subjects, nil for all, from a sequence of the stream up
// to its end. It returns the sequence after that end. The stream has no subject for each client, so scan reads headers.
func (a *Admin) scan(ctx context.Context, first uint64, subjects []string, f func(id string, sequence uint64) error) (next uint64, err error) {
	r, err := reader.Open(ctx, a.js, reader.Config{First: first, UpToNow: true, Subjects: subjects, HeadersOnly: true})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for {
		msg, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return r.Last() + 1, nil
		}
		if err != nil {
			return 0, err
		}
		meta, err := msg.Metadata()
		if err == nil {
			err = f(msg.Headers().Get("ce-subject"), meta.Sequence.Stream)
		}
		if err != nil {
			return 0, err
		}
	}
}

// Messages returns every message about a client: its command, its rejection, and its events in the order of the stream.
func (a *Admin) Messages(ctx context.Context, id uuid.UUID) (msgs []*jetstream.RawStreamMsg, err error) {
	err = a.latest(ctx, id, func(_ jetstream.Stream, msg *jetstream.RawStreamMsg) error {
		msgs = append(msgs, msg)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = a.scan(ctx, 1, nil, func(client string, sequence uint64) error {
		if client != id.String() {
			return nil
		}
		msg, err := leader.Get(ctx, a.js, a.events, sequence)
		if domain.CodeOf(err) == domain.CodeNotFound { // it was erased or has expired since
			return nil
		}
		msgs = append(msgs, msg)
		return err
	})
	return msgs, err
}

// EachClient calls f with the client id of each message on a subject: client.created or client.erased, or on all subjects with one
// of the prefixes client.create. and client.rejected.
func (a *Admin) EachClient(ctx context.Context, subject string, f func(uuid.UUID)) error {
	each := func(client string, _ uint64) error {
		if id, err := domain.ParseID(client); err == nil {
			f(id)
		}
		return nil
	}
	stream := map[string]jetstream.Stream{domain.SubjectCreate: a.commands, domain.SubjectRejected: a.rejections}[subject]
	if stream == nil {
		_, err := a.scan(ctx, 1, []string{subject}, each)
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject+">"))
	if err != nil {
		return fmt.Errorf("list the subjects %s*: %w", subject, err)
	}
	for full := range info.State.Subjects {
		_ = each(strings.TrimPrefix(full, subject), 0)
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
	ctx, cancel := context.WithTimeout(ctx, bulk.Timeout) // a flush requires a deadline
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
