package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/streams"
	"clientele/store"

	"github.com/nats-io/nats.go/jetstream"
)

// markRestore is the key in a stream's metadata for the id of the backup while the stream is restored. done follows the id once
// the stream is complete. streams.Migrate removes it afterwards.
const (
	markRestore = "clientele-restore"
	done        = " done"
)

// RestoreConfig configures Restore.
type RestoreConfig struct {
	Config

	// Replicas is the number of NATS servers that keep each message; 0 means the number in the backup.
	Replicas int
	// DatabaseOnly restores the clients and the marks only. The streams must be those of which the backup is a copy.
	DatabaseOnly bool
}

// Restore restores a backup into empty servers and verifies the result. After an interruption, call it again with the same
// backup: it keeps complete parts and replaces the others. Afterwards, the caller must migrate the streams. An error is a
// *RefusedError if nothing was changed.
//
// The records of the audit trail are added to those of the target, which must have an audit stream: it is append-only.
//
// Restore creates the log last: workers and ingresses do not start without it, so they never use a partial restore.
func Restore(ctx context.Context, cfg RestoreConfig) (m Manifest, err error) {
	if m, err = ReadManifest(cfg.Dir); err != nil {
		return m, &RefusedError{err}
	}
	if err := m.verify(ctx, cfg.Config); err != nil {
		return m, &RefusedError{err}
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return m, err
	}
	r := restore{RestoreConfig: cfg, m: m, js: js}
	if cfg.DatabaseOnly {
		if err := r.sameStreams(ctx); err != nil {
			return m, &RefusedError{err}
		}
		if err := r.clients(ctx); err != nil {
			return m, err
		}
		return m, r.recordRejections(ctx)
	}
	var missing []string // streams to restore
	for _, s := range slices.Backward(m.Streams) {
		if s.Name == domain.StreamAudit {
			continue
		}
		complete, err := r.inspect(ctx, s)
		if err != nil {
			return m, &RefusedError{err}
		}
		if !complete {
			missing = append(missing, s.Name)
		}
	}
	if err := r.clients(ctx); err != nil {
		return m, err
	}
	if err := restoreAudit(ctx, cfg.Config, js, m, cfg.Replicas); err != nil {
		return m, fmt.Errorf("restore stream %s: %w", domain.StreamAudit, err)
	}
	// Rejections precede events: the publisher of missing events requires both streams.
	for _, name := range []string{
		domain.StreamWebhooks, domain.StreamSubscriptions, domain.StreamRejections, domain.StreamEvents, domain.StreamCommands,
	} {
		if !slices.Contains(missing, name) {
			continue
		}
		if err := r.stream(ctx, name); err != nil {
			return m, fmt.Errorf("restore stream %s: %w", name, err)
		}
	}
	return m, r.recordRejections(ctx)
}

// RefusedError means that a restore did not begin. Nothing was changed.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// restore is a restore in progress.
type restore struct {
	RestoreConfig

	m  Manifest
	js jetstream.JetStream
}

// sameStreams returns an error unless the streams of commands and events are those that were copied, with all messages since.
func (r restore) sameStreams(ctx context.Context) error {
	for _, want := range r.m.Streams {
		if want.Name != domain.StreamCommands && want.Name != domain.StreamEvents {
			continue
		}
		stream, err := r.js.Stream(ctx, want.Name)
		if err != nil {
			return fmt.Errorf("look up stream %s: %w; without it, restore everything", want.Name, err)
		}
		copied, err := openCopy(r.Config, want.Name)
		if err != nil {
			return err
		}
		info := stream.CachedInfo()
		if streams.SecretOf(info.Config) != streams.SecretOf(jetstream.StreamConfig{Metadata: copied.config.Metadata}) {
			return fmt.Errorf("stream %s belongs to another installation: restore into the NATS of the backup, or everything", want.Name)
		}
		if info.State.LastSeq < want.LastSeq {
			return fmt.Errorf("stream %s has fewer messages than the backup, up to sequence %d instead of %d: restore everything into an empty NATS",
				want.Name, info.State.LastSeq, want.LastSeq)
		}
	}
	return nil
}

// recordRejections records the restored rejections in the database, whose copy has no records.
func (r restore) recordRejections(ctx context.Context) error {
	rejections, err := publisher.OpenRejections(ctx, r.Conn)
	if err == nil {
		err = rejections.Record(ctx, r.Clients)
	}
	if err != nil {
		return fmt.Errorf("record the rejections: %w", err)
	}
	return nil
}

// inspect reports whether an earlier run has restored the stream. A stream in use is an error.
func (r restore) inspect(ctx context.Context, s Stream) (complete bool, err error) {
	stream, err := r.js.Stream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up stream %s: %w", s.Name, err)
	}
	info := stream.CachedInfo()
	switch mark := info.Config.Metadata[markRestore]; {
	case mark == r.m.ID+done:
		return true, nil
	case mark == r.m.ID && !info.State.LastTime.After(r.m.Ended):
		return false, nil
	case info.State.LastSeq == 0:
		return false, nil
	}
	return false, fmt.Errorf("stream %s is in use: it has %d messages, up to sequence %d; restore into an empty NATS",
		s.Name, info.State.Msgs, info.State.LastSeq)
}

// clients restores the clients and the marks, all or none.
func (r restore) clients(ctx context.Context) error {
	if _, _, err := r.Clients.Migrate(ctx); err != nil {
		return err
	}
	marks, err := readMarks(r.Dir, r.m)
	if err != nil {
		return err
	}
	n, err := r.Clients.Load(ctx, clientsOf(ctx, r.Config, r.m), marks)
	used := errors.Is(err, store.ErrNotEmpty)
	if used {
		n, err = count(ctx, r.Clients)
	}
	if err != nil {
		return fmt.Errorf("restore the clients: %w", err)
	}
	got := newContent()
	if n == r.m.Rows {
		if got, err = contentOf(ctx, r.Config, "check "+Clients, n); err != nil {
			return err
		}
	}
	equal := got.rows == r.m.Rows && got.String() == r.m.Content
	switch {
	case used && !equal:
		return &RefusedError{fmt.Errorf("the database has %d clients, and these, the tombstones or the holds differ from the backup: restore into an empty database", n)}
	case !equal:
		return errors.New("the restored clients differ from the backup: restore into another database")
	}
	return nil
}

// stream restores one stream and replaces what an interrupted run left of it.
func (r restore) stream(ctx context.Context, name string) error {
	want := r.m.Streams[slices.IndexFunc(r.m.Streams, func(s Stream) bool { return s.Name == name })]
	s, err := openCopy(r.Config, name)
	if err != nil {
		return err
	}
	if err := r.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("replace an empty or partly restored stream: %w", err)
	}
	settings := s.config
	settings.Metadata = maps.Clone(settings.Metadata)
	if settings.Metadata == nil {
		settings.Metadata = map[string]string{}
	}
	settings.Metadata[markRestore] = r.m.ID
	if r.Replicas > 0 {
		settings.Replicas = r.Replicas
	}
	if err := s.restore(ctx, r.Config, settings); err != nil {
		return err
	}
	stream, err := r.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	if err := compare(want, *info); err != nil {
		return err
	}
	if name == domain.StreamEvents {
		if err := r.publishMissing(ctx); err != nil {
			return err
		}
	}
	info.Config.Metadata[markRestore] = r.m.ID + done
	_, err = r.js.UpdateStream(ctx, info.Config)
	return err
}

// compare returns an error if a restored stream differs from its copy. The server may already have removed messages older than the
// retention.
func compare(want Stream, got jetstream.StreamInfo) error {
	expired := got.Config.MaxAge > 0 && got.State.Msgs < want.Messages && (got.State.FirstSeq > want.FirstSeq || got.State.Msgs == 0) ||
		got.Config.AllowMsgTTL && got.State.Msgs < want.Messages // any of them
	if got.State.LastSeq != want.LastSeq || got.State.Msgs != want.Messages && !expired {
		return fmt.Errorf("it has %d messages up to sequence %d instead of %d up to %d",
			got.State.Msgs, got.State.LastSeq, want.Messages, want.LastSeq)
	}
	if got.State.Consumers < want.Consumers { // ephemeral consumers may have ended
		return fmt.Errorf("it has %d durable consumers instead of %d", got.State.Consumers, want.Consumers)
	}
	return nil
}

// publishMissing publishes the events of clients whose events are not in the backup.
func (r restore) publishMissing(ctx context.Context) error {
	if r.m.EventsMissing == 0 {
		return nil
	}
	outcomes, err := publisher.OpenOutcomePublisher(ctx, r.Conn)
	if err != nil {
		return err
	}
	var events []domain.Event
	var failed error
	publish := func() bool { //nolint:contextcheck // publishing has a timeout of its own
		failed = outcomes.PublishEvents(events)
		events = events[:0]
		return failed == nil
	}
	err = readClients(ctx, r.Dir, func(c domain.Client, eventMissing bool) bool {
		if !eventMissing {
			return true
		}
		event, err := domain.NewEvent(c)
		if err != nil {
			failed = err
			return false
		}
		events = append(events, event)
		return len(events) < 500 || publish()
	})
	if err == nil && failed == nil {
		publish()
	}
	return errors.Join(err, failed)
}
