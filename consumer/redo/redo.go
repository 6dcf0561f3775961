// Package redo stores clients again that a database has lost, from the events of the stream.
package redo

import (
	"context"
	"errors"
	"maps"
	"slices"

	"clientele/consumer/direct"
	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// Store is the part of a store that this package uses.
type Store interface {
	// Create stores the clients whose ids are free and not erased; result i belongs to client i.
	Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error)
	// Position returns the position that SetPosition stored last in the database, and the server that is behind the connection now.
	Position(ctx context.Context) (p domain.Position, server string, err error)
	// SetPosition stores a position unless another server than that of the position is behind the connection. It reports whether it did.
	SetPosition(ctx context.Context, p domain.Position) (bool, error)
	// Free returns those of the ids that neither a client nor a tombstone has.
	Free(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error)
	// Get returns the client with this id, or an error with domain.CodeNotFound.
	Get(ctx context.Context, id uuid.UUID) (domain.Client, error)
}

// Redo stores clients again that a database has lost, from the events of the stream. A database loses its last transactions when an
// asynchronous standby takes its place, and later ones when a backup does. No event exists without a client, so each event whose
// client has neither a row nor a tombstone is of a lost client.
type Redo struct {
	JS    jetstream.JetStream
	Store Store
	// DryRun only counts.
	DryRun bool
	// Seen, if not nil, is called with the client of each event.
	Seen func(id uuid.UUID)
	// Progress, if not nil, is called after each batch with the number of events read and their total.
	Progress func(done, total uint64)
}

// Result counts what Redo found.
type Result struct {
	// Events is the number of client.created events.
	Events int
	// Restored is the number of clients that were missing, and are stored again.
	Restored int
	// Unreadable is the number of events that this version did not write. Their clients are not stored.
	Unreadable int
	// Erased are the clients whose erasure was lost: client.erased was published, but they exist or have no tombstone.
	Erased []uuid.UUID

	waited bool // in vain, for a command
}

// Run reads the events from the sequence first to the sequence last. It is safe to repeat, and while workers run. After an error it may
// have read some of them.
func (r Redo) Run(ctx context.Context, first, last uint64) (done Result, err error) {
	err = direct.Range(ctx, r.JS, domain.StreamEvents, first, last, func(msgs []*jetstream.RawStreamMsg) error {
		if err := r.batch(ctx, msgs, &done); err != nil {
			return err
		}
		if r.Progress != nil {
			r.Progress(msgs[len(msgs)-1].Sequence+1-first, last+1-first)
		}
		return nil
	})
	return done, err
}

// batch stores the lost clients of a batch of events.
func (r Redo) batch(ctx context.Context, msgs []*jetstream.RawStreamMsg, done *Result) error {
	clients := make(map[uuid.UUID]domain.Client, len(msgs))
	var ids, erased []uuid.UUID
	for _, msg := range msgs {
		if msg.Subject == domain.SubjectErased {
			if id, err := domain.ParseID(msg.Header.Get("ce-subject")); err == nil {
				erased = append(erased, id)
			}
			continue
		}
		done.Events++
		client, err := domain.ParseEvent(msg.Header, msg.Data)
		if err != nil {
			done.Unreadable++
			continue
		}
		if r.Seen != nil {
			r.Seen(client.ID)
		}
		if _, twice := clients[client.ID]; !twice {
			ids = append(ids, client.ID)
		}
		clients[client.ID] = client
	}
	if err := r.restore(ctx, ids, clients, done); err != nil {
		return err
	}
	return r.findErased(ctx, erased, done)
}

// restore stores the clients whose ids are free.
func (r Redo) restore(ctx context.Context, ids []uuid.UUID, clients map[uuid.UUID]domain.Client, done *Result) error {
	free, err := r.Store.Free(ctx, ids)
	if err != nil || len(free) == 0 {
		return err
	}
	if r.DryRun {
		done.Restored += len(free)
		return nil
	}
	lost := make([]domain.Client, len(free))
	for i, id := range free {
		lost[i] = clients[id]
	}
	if err := r.addCallers(ctx, lost, done); err != nil {
		return err
	}
	results, err := r.Store.Create(ctx, lost)
	for _, result := range results {
		if result.Outcome == domain.Created {
			done.Restored++
		}
	}
	return err
}

// errMissing means that no command of a lost client was found where it should be.
var errMissing = errors.New("commands of lost clients are not on the log")

// addCallers adds the callers of the clients whose commands are still on the log. Events do not name them to subscribers. It waits for a
// server that lacks the last commands, but in vain only once: a command can also be erased, or from another log.
func (r Redo) addCallers(ctx context.Context, clients []domain.Client, done *Result) error {
	missing := make(map[string]*domain.Client, len(clients))
	for i, client := range clients {
		missing[domain.SubjectCreate+client.ID.String()] = &clients[i]
	}
	err := direct.Repeat(ctx, func() error {
		log, err := r.JS.Stream(ctx, domain.StreamCommands)
		if err != nil {
			return err
		}
		if err := r.addCallersOf(ctx, missing); err != nil {
			return err
		}
		first := log.CachedInfo().State.FirstTime
		trimmed := func(_ string, client *domain.Client) bool { return client.AcceptedAt.Before(first) }
		if maps.DeleteFunc(missing, trimmed); len(missing) > 0 && !done.waited {
			return errMissing
		}
		return nil
	})
	if errors.Is(err, errMissing) {
		done.waited = true
		return nil
	}
	return err
}

// addCallersOf adds the callers of the clients whose commands the server that answers has, and removes them from the map.
func (r Redo) addCallersOf(ctx context.Context, missing map[string]*domain.Client) error {
	if len(missing) == 0 {
		return nil
	}
	msgs, err := direct.Last(ctx, r.JS, domain.StreamCommands, slices.Collect(maps.Keys(missing)))
	for _, msg := range msgs {
		header, err := domain.CommandMessage{Header: msg.Header}.DecodeHeader()
		if client := missing[msg.Subject]; err == nil && client != nil {
			client.Caller, client.KeyID = header.Caller, header.KeyID
		}
		delete(missing, msg.Subject)
	}
	return err
}

// findErased adds the ids whose erasure the database has lost.
func (r Redo) findErased(ctx context.Context, ids []uuid.UUID, done *Result) error {
	free, err := r.Store.Free(ctx, ids)
	if err != nil {
		return err
	}
	done.Erased = append(done.Erased, free...)
	for _, id := range ids {
		_, err := r.Store.Get(ctx, id)
		if err == nil {
			done.Erased = append(done.Erased, id)
		} else if domain.CodeOf(err) != domain.CodeNotFound {
			return err
		}
	}
	return nil
}
