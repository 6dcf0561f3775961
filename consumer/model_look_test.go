package consumer_test

import (
	"bytes"
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

// open are the commands that still need a worker.
func (m *model) open() (seqs []uint64) {
	for _, c := range m.log {
		if !c.done {
			seqs = append(seqs, c.seq)
		}
	}
	return seqs
}

// firstOpen is the lowest sequence of an unfinished command.
func (m *model) firstOpen() uint64 {
	return slices.Min(append(m.open(), 1<<63))
}

// look compares the system with the model after a worker processed these commands.
func (m *model) look(t *rapid.T, hand map[string]*command) {
	m.lookAtRows(t)
	m.lookAtEvents(t, hand)
	m.lookAtRejections(t, hand)
	for _, c := range hand {
		if c.done && c.outcomes == 0 {
			t.Errorf("%s is done and has no outcome", c.id)
		}
	}
	m.lookAtLog(t)
}

func (m *model) lookAtRows(t *rapid.T) {
	for _, id := range m.ids[1:] {
		got, err := m.s.store.Get(context.Background(), uuid.MustParse(id))
		if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
			t.Fatal(err)
		}
		want, known := m.rows[id]
		c := m.log[id]
		switch {
		case known:
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the row is now %+v (%v), was %+v", id, got, err, want)
			}
		case err == nil:
			if c == nil || c.reason != "" || c.delivery == nil {
				t.Fatalf("%s: a row that nobody asked for: %+v", id, got)
			}
			if !reflect.DeepEqual(got, c.command.Client(got.CreatedAt)) {
				t.Errorf("%s: the row is %+v, not that of %+v", id, got, c.command)
			}
			if got.CreatedAt.Before(m.since) || got.CreatedAt.After(time.Now()) {
				t.Errorf("%s: created at %s", id, got.CreatedAt)
			}
			m.rows[id] = got
		case c != nil && c.done && c.reason == "":
			t.Errorf("%s: done, but there is no row", id)
		}
	}
}

// lookAtEvents also recreates the stream, so that a duplicate event is stored and visible.
func (m *model) lookAtEvents(t *rapid.T, hand map[string]*command) {
	msgs := m.s.messages(domain.StreamEvents)
	if len(msgs) > 0 {
		m.s.renew(domain.StreamEvents)
	}
	for _, msg := range msgs {
		id := msg.Header.Get("ce-subject")
		row, ok := m.rows[id]
		if !ok {
			t.Fatalf("an event without a row: %s", msg.Data)
		}
		if c := hand[id]; c == nil || c.reason != "" {
			t.Errorf("%s: an event that nobody asked for", id)
		} else {
			c.outcomes++
		}
		body, err := row.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if createdAt := row.CreatedAt.Format(time.RFC3339Nano); !bytes.Equal(msg.Data, body) || msg.Header.Get("ce-time") != createdAt {
			t.Errorf("%s: the event is %s of %s, the row %s of %s", id, msg.Data, msg.Header.Get("ce-time"), body, createdAt)
		}
		attributes := attributes(msg.Header)
		if m.events[id] == nil {
			m.events[id] = attributes
		}
		if !reflect.DeepEqual(attributes, m.events[id]) {
			t.Errorf("%s: the event came again with %v, was %v", id, attributes, m.events[id])
		}
	}
}

// attributes are the headers of an event that are not the server's.
func attributes(header nats.Header) nats.Header {
	kept := maps.Clone(header)
	maps.DeleteFunc(kept, func(name string, _ []string) bool {
		return strings.HasPrefix(name, "Nats-") && name != jetstream.MsgIDHeader
	})
	return kept
}

// lookAtRejections also empties the stream, so that each rejection on it is new.
func (m *model) lookAtRejections(t *rapid.T, hand map[string]*command) {
	rejections := m.s.rejections()
	if len(rejections) > 0 {
		m.s.purge(domain.StreamRejections)
	}
	for _, r := range rejections {
		c := hand[r.ID]
		if c == nil || c.reason != r.Reason {
			t.Fatalf("%s: rejected as %s, though it was %+v", r.ID, r.Reason, c)
		}
		c.outcomes++
		if !bytes.Equal(r.Command.Body, c.msg.Data) || len(r.Errors) == 0 || r.Deliveries == 0 {
			t.Errorf("%s: rejection %+v of %s", r.ID, r, c.msg.Data)
		}
		for name, values := range c.msg.Header {
			if !slices.Equal(r.Command.Headers[name], values) {
				t.Errorf("%s: header %s is %v in the rejection, was %v", r.ID, name, r.Command.Headers[name], values)
			}
		}
	}
}

// lookAtLog waits until the acks have arrived, and checks that they are those of the finished commands.
func (m *model) lookAtLog(t *rapid.T) {
	open := m.open()
	deadline := time.Now().Add(time.Minute)
	info := m.s.consumerInfo()
	for ; info.NumAckPending+int(info.NumPending) > len(open); info = m.s.consumerInfo() {
		if time.Now().After(deadline) {
			t.Fatalf("%d commands unacknowledged and %d to deliver, want %d in all", info.NumAckPending, info.NumPending, len(open))
		}
	}
	if n := info.NumAckPending + int(info.NumPending); n < len(open) {
		t.Fatalf("%d commands unacknowledged, want %d", n, len(open))
	}
	if info.AckFloor.Stream >= m.firstOpen() {
		t.Errorf("the ack floor is %d, but %v are not done", info.AckFloor.Stream, open)
	}
	stream, err := m.s.js.Stream(context.Background(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	log, err := stream.Info(context.Background(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for id := range m.log {
		want = append(want, domain.SubjectCreate+id)
	}
	got := slices.Sorted(maps.Keys(log.State.Subjects))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("on the log are %v, want %v", got, want)
	}
}
