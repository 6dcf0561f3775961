package redo

import (
	"context"
	"fmt"
	"time"

	"clientele/consumer/direct"
	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
)

// positionInterval is how often a worker looks whether its database has lost clients.
const positionInterval = time.Second

// lookUpTimeout bounds the look-up of the end of the stream.
const lookUpTimeout = 2 * time.Second

// databaseTimeout bounds a look at the database. A primary that is cut off does not end its connections.
const databaseTimeout = 5 * time.Second

// settleTime is how long a follower checks every event after it has noticed another server. A batch that was stored on the former one
// is published within that time, unless NATS is unavailable.
const settleTime = time.Minute

// Follower keeps the position of the database on the events stream, and stores clients again that the database has lost. Run one
// beside each worker.
//
// A worker stores a client before it publishes its event. So if the last event has the sequence n, the database has all clients up
// to n, and the follower stores n as the position in that same database. A database that loses its last transactions loses the later
// positions with them. Another server behind the connection, or a position that went back, means that the events after the position
// have to be checked.
//
// Workers may notice another server at different times. The first one checks the events after the position that the server had, and
// the followers there go on. A worker that stays connected to the former server stores its clients only there. So when it arrives, it
// checks all events since the server took over.
type Follower struct {
	js       jetstream.JetStream
	store    Store
	log      zerolog.Logger
	restored prometheus.Counter

	known domain.Position // the last one that this follower stored or found; zero at first
	moved time.Time       // when this follower last noticed another server; zero at first
}

// FollowerConfig configures NewFollower.
type FollowerConfig struct {
	Conn  *nats.Conn
	Store Store
	Log   zerolog.Logger
	// Metrics is where the follower registers its metrics, or nil.
	Metrics prometheus.Registerer
}

// NewFollower returns a follower of the stream that the connection leads to.
func NewFollower(cfg FollowerConfig) (*Follower, error) {
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, err
	}
	return &Follower{js: js, store: cfg.Store, log: cfg.Log, restored: promauto.With(cfg.Metrics).NewCounter(prometheus.CounterOpts{
		Name: "clientele_redo_clients_total", Help: "Clients that the database had lost, and that were stored again from their events.",
	})}, nil
}

// Run follows the stream until the context ends.
func (f *Follower) Run(ctx context.Context) {
	ticker := time.NewTicker(positionInterval)
	defer ticker.Stop()
	for {
		if err := f.Follow(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn().Err(err).Msg("cannot check whether the database lost clients; trying again")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Follow compares the position with the stream once. The order matters: the end of the stream is read before the server behind the
// connection, which SetPosition compares again.
func (f *Follower) Follow(ctx context.Context) error {
	if !f.js.Conn().IsConnected() {
		return nil // the worker reports it
	}
	stream, end, err := f.end(ctx)
	if err != nil {
		return err
	}
	stored, server, err := f.position(ctx)
	if err != nil {
		return err
	}
	next := domain.Position{Stream: stream, Sequence: end, Server: server}
	if stored.Sequence == domain.PositionEnd {
		stored.Stream, stored.Sequence = stream, f.endOfFilled(next)
	}
	next.Since = since(stored, next)
	if f.known.Server != "" && f.known.Server != server {
		f.moved = time.Now()
	}
	if stored == next && time.Since(f.moved) >= settleTime {
		f.known = next
		return nil
	}
	if from := f.lastSafe(stored, next); from < end {
		if err := f.redo(ctx, from, end); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	if same, err := f.store.SetPosition(ctx, next); err != nil || !same {
		return err
	}
	f.known = next
	return nil
}

// endOfFilled returns the sequence that domain.PositionEnd stands for. A standby can still have it while its primary had a position: then
// it lacks what was stored since the first one.
func (f *Follower) endOfFilled(next domain.Position) int64 {
	if f.known.Stream == next.Stream {
		return f.known.Since
	}
	return next.Sequence
}

// since returns domain.Position.Since of the next position.
func since(stored, next domain.Position) int64 {
	switch {
	case stored.Stream != next.Stream:
		return 0
	case stored.Server == next.Server:
		return stored.Since
	}
	return stored.Sequence
}

// maxRestored is the number of events that Restore reads. It takes a tenth of a second.
const maxRestored = 5000

// Restore stores the lost clients of the first 5,000 events that were published since then.
func (f *Follower) Restore(ctx context.Context, since time.Time) error {
	stream, err := f.js.Stream(ctx, domain.StreamEvents)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", domain.StreamEvents, err)
	}
	info := stream.CachedInfo()
	first, err := direct.FirstSince(ctx, f.js, info, since)
	if err != nil || first > info.State.LastSeq {
		return err
	}
	return f.redo(ctx, int64(first)-1, int64(min(first-1+maxRestored, info.State.LastSeq)))
}

// position is Store.Position with a timeout.
func (f *Follower) position(ctx context.Context) (stored domain.Position, server string, err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return f.store.Position(ctx)
}

// end returns the identity of the events stream and the sequence of its last event.
func (f *Follower) end(ctx context.Context) (identity string, last int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	stream, err := f.js.Stream(ctx, domain.StreamEvents)
	if err != nil {
		return "", 0, fmt.Errorf("look up stream %s: %w", domain.StreamEvents, err)
	}
	info := stream.CachedInfo()
	return info.Created.UTC().Format(time.RFC3339Nano), int64(info.State.LastSeq), nil
}

// lastSafe returns the sequence up to which the database has the client of each event. It is next.Sequence if nothing can be lost.
func (f *Follower) lastSafe(stored, next domain.Position) int64 {
	switch {
	case stored.Stream != next.Stream:
		return 0
	case f.known.Stream != next.Stream:
		return stored.Sequence
	case f.known.Server != next.Server: // this worker stored clients on the former server until now
		return min(f.known.Sequence, stored.Sequence, next.Since)
	case f.known.Sequence > stored.Sequence: // the position went back
		return stored.Sequence
	case time.Since(f.moved) < settleTime:
		return f.known.Sequence
	}
	return next.Sequence // this worker has watched the database since the position
}

// redo stores the lost clients of the events after one sequence up to another.
func (f *Follower) redo(ctx context.Context, after, last int64) error {
	began := time.Now()
	done, err := Redo{JS: f.js, Store: f.store}.Run(ctx, uint64(after)+1, uint64(last))
	f.restored.Add(float64(done.Restored))
	if err != nil {
		return err
	}
	if done.Restored > 0 || done.Unreadable > 0 {
		f.log.Error().Int("clients", done.Restored).Int("unreadable", done.Unreadable).Int("events", done.Events).
			Dur("duration", time.Since(began)).Msg("the database had lost clients; stored them again from their events")
	}
	for _, id := range done.Erased {
		f.log.Error().Stringer("id", id).Msg("the database has lost an erasure; erase this client again")
	}
	return nil
}
