package publisher_test

import (
	"errors"
	"io"
	"testing"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go/jetstream"
)

// A consumer is on one server. That server can have received fewer events than the leader had when the reader began: here the last two
// of five, one of which is no longer on the stream.
func TestEventsThatTheServerHasNotReceived(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	post := func() { s.post(eventOf(publishertest.NewID(t))) }
	for range 3 {
		post()
	}
	r, err := publisher.ReadEvents(t.Context(), s.js, publisher.EventsConfig{UpToNow: true, Subjects: []string{domain.SubjectCreated}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.ReadUpTo(5)
	next := func(want uint64) {
		t.Helper()
		msg, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if meta, err := msg.Metadata(); err != nil || meta.Sequence.Stream != want {
			t.Errorf("event %d (%v), want %d", meta.Sequence.Stream, err, want)
		}
	}
	next(1)
	next(2)
	post() // The third is already delivered, as the last one.
	post()
	next(3)
	events, err := s.js.Stream(t.Context(), domain.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := events.DeleteMsg(t.Context(), 5); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Fatal(err)
	}
	next(4)
	if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
}
