// Package story collects what is known about one operation: its command, its client and event, and its rejection.
package story

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"clientele/cmd/internal/console/watch"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/leader"
	"clientele/publisher/reader"
	"clientele/publisher/streams"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// Finder finds stories.
type Finder struct {
	JetStream jetstream.JetStream // with the rights of an operator
	Store     Store
	Explain   func(error) error // rewrites errors for an operator
}

// Store is what a story needs of the database.
type Store interface {
	Get(ctx context.Context, id uuid.UUID) (domain.Client, error)
	Marks(ctx context.Context, ids ...uuid.UUID) (store.Marks, error)
}

// KeyedID returns the id of the operation of the request that this caller sent under this idempotency key.
func (f Finder) KeyedID(ctx context.Context, caller, key string) (uuid.UUID, error) {
	log, err := streams.Open(ctx, f.JetStream, domain.StreamCommands)
	if err != nil {
		return uuid.Nil, err
	}
	return domain.KeyedID(streams.SecretOf(log.CachedInfo().Config), caller, key), nil
}

// Story is what is known about one operation. Its parts other than the rejection have no personal data.
type Story struct {
	ID     string
	Client uuid.UUID // zero for the id of another program
	Status domain.OperationStatus

	Caller, KeyID string
	AcceptedAt    time.Time
	Retries       uint64
	Trace         string

	Command   *Command
	StoredAt  time.Time // zero without a client
	Event     *watch.Event
	Forwarded []Forwarded // of the event, one for each webhook
	Rejection *publisher.StoredRejection
	Erasure   *domain.Erasure
	// Notes say what could not be found out.
	Notes []string
}

// Command is a command on the log.
type Command struct {
	Sequence uint64
	StoredAt time.Time
	Done     bool // at or below the ack floor of the workers
}

// Known reports whether anything is known.
func (s *Story) Known() bool {
	return s.Command != nil || !s.StoredAt.IsZero() || s.Rejection != nil || s.Erasure != nil
}

// timeout bounds the time for a story.
const timeout = 15 * time.Second

// Find collects what is known about the operation with this id. It reads the log first: a command that leaves the log afterwards has its outcome by then.
func (f Finder) Find(ctx context.Context, id string) (*Story, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := &Story{ID: id, Status: domain.OperationPending}
	if parsed, err := domain.ParseID(id); err == nil {
		s.ID, s.Client = parsed.String(), parsed
	}
	if err := f.addCommand(ctx, s); err != nil {
		return nil, err
	}
	if s.Client != uuid.Nil {
		f.addClient(ctx, s)
	}
	rejections, err := publisher.OpenRejections(ctx, f.JetStream.Conn())
	if err != nil {
		return nil, err
	}
	rejection, err := rejections.Get(ctx, s.ID)
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return nil, err
	}
	if err == nil {
		s.addRejection(rejection)
	}
	return s, nil
}

// addCommand adds the command, if it is on the log.
func (f Finder) addCommand(ctx context.Context, s *Story) error {
	log, err := streams.Open(ctx, f.JetStream, domain.StreamCommands)
	if err != nil {
		return err
	}
	msg, err := leader.Last(ctx, f.JetStream, log, domain.SubjectCreate+s.ID)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	s.Command = &Command{Sequence: msg.Sequence, StoredAt: msg.Time.UTC()}
	s.addHeaders(msg.Header)
	worker, err := log.Consumer(ctx, domain.ConsumerWorker)
	if err != nil {
		s.Notes = append(s.Notes, "Whether a worker has finished the command is unknown: "+f.Explain(err).Error())
		return nil
	}
	s.Command.Done = msg.Sequence <= worker.CachedInfo().AckFloor.Stream
	return nil
}

// addHeaders adds what the headers of a command say.
func (s *Story) addHeaders(header map[string][]string) {
	values, _ := domain.CommandMessage{Header: header}.DecodeHeader() // zero if no ingress wrote the command
	s.Caller, s.KeyID, s.AcceptedAt = values.Caller, values.KeyID, values.AcceptedAt
	get := func(name string) string {
		if all := header[name]; len(all) > 0 {
			return all[0]
		}
		return ""
	}
	s.Retries, _ = strconv.ParseUint(get("Clientele-Retries"), 10, 32) // 0 without the header
	s.Trace = watch.TraceOf(get(domain.HeaderTraceparent))
}

// addClient adds the client and its event, or its erasure. Without the database, the story has a note.
func (f Finder) addClient(ctx context.Context, s *Story) {
	client, err := f.Store.Get(ctx, s.Client)
	switch {
	case err == nil:
		s.Status, s.StoredAt, s.AcceptedAt = domain.OperationSucceeded, client.CreatedAt, client.AcceptedAt
		s.Caller, s.KeyID = cmp.Or(client.Caller, s.Caller), cmp.Or(client.KeyID, s.KeyID)
		f.addEvent(ctx, s)
		return
	case domain.CodeOf(err) != domain.CodeNotFound:
		s.Notes = append(s.Notes, "The database does not respond, so it is unknown whether the client is stored: "+f.Explain(err).Error())
		return
	}
	if marks, err := f.Store.Marks(ctx, s.Client); err == nil && len(marks.Erasures) > 0 {
		s.Erasure = &marks.Erasures[0]
	}
}

const (
	// eventSkew is how much earlier than the client its event can be on the stream, by another clock.
	eventSkew = 5 * time.Second
	// eventWindow is how long after the client its event is looked for: the worker publishes it next.
	eventWindow = 10 * time.Minute
	// eventsTimeout bounds the search.
	eventsTimeout = 5 * time.Second
)

// addEvent adds the first event of the client. The stream has no subject for each client, so the search reads headers.
func (f Finder) addEvent(ctx context.Context, s *Story) {
	ctx, cancel := context.WithTimeout(ctx, eventsTimeout)
	defer cancel()
	cfg := reader.Config{Since: s.StoredAt.Add(-eventSkew), UpToNow: true, HeadersOnly: true, Subjects: []string{domain.SubjectCreated}}
	err := watch.ReadEvents(ctx, f.JetStream, cfg, func(e watch.Event) bool {
		if e.ClientID == s.ID {
			s.Event = &e
			s.Trace = cmp.Or(s.Trace, e.Trace)
		}
		return s.Event == nil && e.StoredAt.Before(s.StoredAt.Add(eventWindow))
	})
	switch {
	case s.Event != nil:
		if s.Forwarded, err = forwarded(ctx, f.JetStream, *s.Event, s.Event.StoredAt.Add(-eventSkew)); err != nil {
			s.Notes = append(s.Notes, "What webhooks have received is unknown: "+f.Explain(err).Error())
		}
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		s.Notes = append(s.Notes, "The event was not looked for: "+f.Explain(err).Error())
	default:
		s.Notes = append(s.Notes, "The event is not among those of the ten minutes after the client was stored, or there are too many of them.")
	}
}

// addRejection adds the rejection. A client outranks a rejection of another command with its id, and a later attempt on the log is pending.
func (s *Story) addRejection(r publisher.StoredRejection) {
	s.Rejection = &r
	later := s.Command != nil && !r.Command.Is(domain.LoggedCommand{
		CommandHeader: domain.CommandHeader{AcceptedAt: s.AcceptedAt}, Sequence: s.Command.Sequence,
	})
	if !s.StoredAt.IsZero() || later {
		return
	}
	s.Status = r.Status()
	if s.Command == nil {
		s.addHeaders(r.Command.Headers)
	}
}
