package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"clientele/domain"
	"clientele/publisher/reader"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// lastEvents is how many events the console shows.
const lastEvents = 10

// Event is what the headers of an event say. They contain no data of the client but its id.
type Event struct {
	Sequence uint64
	Type     string
	ClientID string
	StoredAt time.Time
	Trace    string
}

// recentEvents are the last events.
type recentEvents struct {
	js   jetstream.JetStream
	last uint64 // the sequence of the newest one in all
	all  []Event
}

// read returns the last events, the newest first. It reads them only if there are new ones.
func (r *recentEvents) read(ctx context.Context) ([]Event, error) {
	stream, err := streams.Open(ctx, r.js, domain.StreamEvents)
	if err != nil {
		return nil, err
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 || state.LastSeq == r.last {
		return r.all, nil
	}
	first := max(state.FirstSeq, state.LastSeq-min(state.LastSeq, lastEvents)+1)
	var found []Event
	err = ReadEvents(ctx, r.js, reader.Config{First: first, UpToNow: true, HeadersOnly: true}, func(e Event) bool {
		found = append(found, e)
		return true
	})
	if err != nil {
		return r.all, err
	}
	slices.Reverse(found)
	r.all, r.last = found[:min(len(found), lastEvents)], state.LastSeq
	return r.all, nil
}

// ReadEvents calls f with each event until f returns false or there are no more.
func ReadEvents(ctx context.Context, js jetstream.JetStream, cfg reader.Config, f func(Event) bool) error {
	events, err := reader.Open(ctx, js, cfg)
	if err != nil {
		return err
	}
	defer events.Close()
	for {
		msg, err := events.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read the position of an event: %w", err)
		}
		get := msg.Headers().Get
		if !f(Event{meta.Sequence.Stream, get("ce-type"), get("ce-subject"), meta.Timestamp.UTC(), TraceOf(get(domain.HeaderTraceparent))}) {
			return nil
		}
	}
}
