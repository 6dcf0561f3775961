package reader_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/reader"

	"github.com/nats-io/nats.go/jetstream"
)

// A consumer is on one server. That server can have received fewer events than the leader had when the reader began: here the last two
// of five, one of which is no longer on the stream.
func TestEventsThatTheServerHasNotReceived(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(publishertest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	post := func() {
		t.Helper()
		if _, err := js.Publish(t.Context(), domain.SubjectCreated, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		post()
	}
	events, err := js.Stream(t.Context(), domain.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	// delivered waits until the server has sent an event to the reader, so that the message does not say that another one follows.
	delivered := func(sequence uint64) {
		t.Helper()
		publishertest.Eventually(t, "an event is delivered", func() bool {
			last := uint64(0)
			for info := range events.ListConsumers(t.Context()).Info() {
				last = info.Delivered.Stream
			}
			return last == sequence
		})
	}
	r, err := reader.Open(t.Context(), js, reader.Config{UpToNow: true, Subjects: []string{domain.SubjectCreated}})
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
	delivered(3) // as the last one
	post()
	delivered(4) // as well
	post()
	next(3)
	if err := events.DeleteMsg(t.Context(), 5); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Fatal(err)
	}
	next(4)
	if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
}

// Events are removed before they reach a reader that has been told of them. It ends all the same.
func TestEventsThatAreRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(publishertest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 600 { // more than are sent to a reader at once
		if _, err := js.PublishAsync(domain.SubjectCreated, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	r, err := reader.Open(t.Context(), js, reader.Config{UpToNow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	events, err := js.Stream(t.Context(), domain.StreamEvents)
	if err == nil {
		err = events.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n := 1
	for ; err == nil; n++ {
		_, err = r.Next(ctx)
	}
	if !errors.Is(err, io.EOF) || n >= 600 {
		t.Errorf("%v after %d events", err, n)
	}
}

// A reader knows where it begins before it has read an event, so that it does not wait for older ones.
func TestWhereAReaderBegins(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(publishertest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	var events jetstream.Stream
	var times []time.Time
	for sequence := range uint64(4) {
		if _, err := js.Publish(t.Context(), domain.SubjectCreated, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if events, err = js.Stream(t.Context(), domain.StreamEvents); err != nil {
			t.Fatal(err)
		}
		msg, err := events.GetMsg(t.Context(), sequence+1)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, msg.Time)
	}
	for name, c := range map[string]struct {
		cfg    reader.Config
		read   uint64
		events int
	}{
		"the oldest event": {reader.Config{}, 0, 4},
		"a sequence":       {reader.Config{First: 4}, 3, 1},
		"a time":           {reader.Config{Since: times[2]}, 2, 2},
		"a later time":     {reader.Config{Since: times[3].Add(time.Hour)}, 4, 0},
		"the next event":   {reader.Config{Next: true}, 4, 0},
	} {
		c.cfg.UpToNow = true
		r, err := reader.Open(t.Context(), js, c.cfg)
		if err != nil {
			t.Fatal(name, err)
		}
		read, n := r.ReadTo(), 0
		for ; err == nil; n++ {
			_, err = r.Next(t.Context())
		}
		if r.Close(); !errors.Is(err, io.EOF) || read != c.read || n-1 != c.events {
			t.Errorf("%s: after %d come %d events (%v), want %d after %d", name, read, n-1, err, c.events, c.read)
		}
	}
}
