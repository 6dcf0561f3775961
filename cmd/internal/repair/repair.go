// Package repair repairs a system whose database or events stream has lost what was committed: it makes clients again from events and
// commands, and events from clients.
package repair

import (
	"context"
	"fmt"
	"time"

	"clientele/consumer/direct"
	"clientele/consumer/redo"
	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The parts, for Config.Progress.
const (
	PartEvents   = "events"
	PartCommands = "commands"
	PartClients  = "clients"
)

// Config configures Run.
type Config struct {
	Conn  *nats.Conn
	Store store.Store
	// Since limits Run to events and commands that were published at this time or later. The zero time means all.
	Since time.Time
	// DryRun only counts what is missing.
	DryRun bool
	// Progress, if not nil, is called from time to time with the part that is read.
	Progress func(part string, done, total int64)
}

// Result counts what Run found, and repaired unless it was a dry run.
type Result struct {
	// Events are the events that were read, Commands the completed commands without one of these events.
	Events, Commands int
	// FromEvents and FromCommands are the clients that were missing, by where they were found.
	FromEvents, FromCommands int
	// Published is the number of events that were missing.
	Published int
	// Unreadable is the number of events that this version did not write.
	Unreadable int
	// Erased are the clients whose erasure was lost.
	Erased []uuid.UUID
}

// pageSize is the number of clients that one query reads.
const pageSize = 500

// job is a run in progress.
type job struct {
	Config
	Result

	js         jetstream.JetStream
	admin      *publisher.Admin
	rejections *publisher.Rejections
	seen       map[uuid.UUID]bool // the clients that have an event, or must not have one
	kept       time.Time          // events of clients created since then have not expired
}

// Run looks for clients without a row and for clients without an event, and records the rejections again. It is safe to repeat, and while workers run. After an error
// some of them may be repaired.
func Run(ctx context.Context, cfg Config) (Result, error) {
	j := &job{Config: cfg, seen: map[uuid.UUID]bool{}}
	if err := j.open(ctx); err != nil {
		return Result{}, err
	}
	for _, part := range []func(context.Context) error{j.events, j.commands, j.clients} {
		if err := part(ctx); err != nil {
			return j.Result, err
		}
	}
	if j.DryRun {
		return j.Result, nil
	}
	return j.Result, j.rejections.Record(ctx, j.Store)
}

func (j *job) open(ctx context.Context) (err error) {
	if j.js, err = jetstream.New(j.Conn); err != nil {
		return err
	}
	if j.admin, err = publisher.OpenAdmin(ctx, j.Conn); err != nil {
		return err
	}
	j.rejections, err = publisher.OpenRejections(ctx, j.Conn)
	return err
}

func (j *job) progress(part string) func(done, total uint64) {
	return func(done, total uint64) {
		if j.Progress != nil {
			j.Progress(part, int64(done), int64(total))
		}
	}
}

// window returns the first sequence of a stream since the configured time, the last one, and how long the stream keeps messages.
func (j *job) window(ctx context.Context, name string) (first, last uint64, maxAge time.Duration, err error) {
	stream, err := j.js.Stream(ctx, name)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("look up stream %s: %w", name, err)
	}
	info := stream.CachedInfo()
	first = max(info.State.FirstSeq, 1)
	if !j.Since.IsZero() {
		if first, err = direct.FirstSince(ctx, j.js, info, j.Since); err != nil {
			return 0, 0, 0, err
		}
	}
	return first, info.State.LastSeq, info.Config.MaxAge, nil
}

// events restores clients from their events.
func (j *job) events(ctx context.Context) error {
	first, last, maxAge, err := j.window(ctx, domain.StreamEvents)
	if err != nil {
		return err
	}
	j.kept = j.Since
	if oldest := time.Now().Add(-maxAge); maxAge > 0 && oldest.After(j.kept) {
		j.kept = oldest
	}
	lost := redo.Redo{
		JS: j.js, Store: j.Store, DryRun: j.DryRun, Progress: j.progress(PartEvents),
		Seen: func(id uuid.UUID) { j.seen[id] = true },
	}
	done, err := lost.Run(ctx, first, last)
	j.Events, j.FromEvents, j.Unreadable, j.Erased = done.Events, done.Restored, done.Unreadable, done.Erased
	for _, id := range j.Erased {
		j.seen[id] = true // its events are erased
	}
	return err
}

// commands restores clients whose event is lost too, from completed commands. It publishes their events.
func (j *job) commands(ctx context.Context) error {
	first, last, _, err := j.window(ctx, domain.StreamCommands)
	if err != nil {
		return err
	}
	floor, err := j.floor(ctx)
	if err != nil {
		return err
	}
	last = min(last, floor)
	progress := j.progress(PartCommands)
	return direct.Range(ctx, j.js, domain.StreamCommands, first, last, func(msgs []*jetstream.RawStreamMsg) error {
		if err := j.batch(ctx, msgs); err != nil {
			return err
		}
		progress(msgs[len(msgs)-1].Sequence+1-first, last+1-first)
		return nil
	})
}

// floor returns the sequence up to which the commands are completed.
func (j *job) floor(ctx context.Context) (uint64, error) {
	worker, err := j.js.Consumer(ctx, domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		return 0, fmt.Errorf("look up consumer %s: %w", domain.ConsumerWorker, err)
	}
	return worker.CachedInfo().AckFloor.Stream, nil
}

// batch restores the clients of those commands that have neither a client nor a rejection.
func (j *job) batch(ctx context.Context, msgs []*jetstream.RawStreamMsg) error {
	commands := map[uuid.UUID]domain.CreateClient{}
	var ids []uuid.UUID
	for _, msg := range msgs {
		command, err := domain.CommandMessage{Subject: msg.Subject, Header: msg.Header, Body: msg.Data}.Decode()
		if err != nil || j.seen[command.ID] {
			continue // a sync, or rejected, or its event is there
		}
		j.Commands++
		ids = append(ids, command.ID)
		commands[command.ID] = command
	}
	free, err := j.Store.Free(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range free {
		_, err := j.rejections.Get(ctx, id.String())
		if err == nil {
			continue
		}
		if domain.CodeOf(err) != domain.CodeNotFound {
			return err
		}
		if err := j.create(ctx, commands[id]); err != nil {
			return err
		}
	}
	return nil
}

// create stores the client of a command. The next part publishes its event.
func (j *job) create(ctx context.Context, command domain.CreateClient) error {
	if j.DryRun {
		j.FromCommands++
		j.Published++
		return nil
	}
	results, err := j.Store.Create(ctx, []domain.Client{command.Client(time.Now())})
	if err == nil && results[0].Outcome == domain.Created {
		j.FromCommands++
	}
	return err
}

// clients publishes the events of clients that have none, unless it may have expired.
func (j *job) clients(ctx context.Context) error {
	until := time.Now()
	total, err := j.Store.Count(ctx, j.kept, until)
	if err != nil {
		return err
	}
	progress, read := j.progress(PartClients), 0
	for after := uuid.Nil; ; {
		page, err := j.Store.Page(ctx, j.kept, until, after, pageSize)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := j.publish(ctx, page); err != nil {
			return err
		}
		after = page[len(page)-1].ID
		read += len(page)
		progress(uint64(read), uint64(total))
	}
}

// publish publishes the events of those clients that have none, and that no worker is about to publish.
func (j *job) publish(ctx context.Context, clients []domain.Client) error {
	var events []domain.Event
	for _, c := range clients {
		if j.seen[c.ID] {
			continue
		}
		if pending, err := j.admin.Pending(ctx, c.ID); err != nil || pending {
			if err != nil {
				return err
			}
			continue
		}
		event, err := domain.NewEvent(c)
		if err != nil {
			return err
		}
		events = append(events, event)
	}
	j.Published += len(events)
	if j.DryRun {
		return nil
	}
	if len(events) == 0 {
		return nil
	}
	// Not PublishEvents: the stream would drop an event whose id it remembers, even if it has lost the event.
	return j.admin.Replay(ctx, events, "")
}
