package publisher_test

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// eventOf returns an event of a client, as a worker publishes it, without the id by which the stream recognizes duplicates.
func eventOf(id uuid.UUID) *nats.Msg {
	return &nats.Msg{Subject: domain.SubjectCreated, Header: nats.Header{"ce-subject": {id.String()}}, Data: []byte("{}")}
}

func openAdmin(t *testing.T, s *system) *publisher.Admin {
	t.Helper()
	admin, err := publisher.OpenAdmin(t.Context(), s.nc)
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

// gateDialer returns connections that send the first request to erase an event, and the others when the gate is open.
type gateDialer struct {
	erased *atomic.Int32
	open   <-chan struct{}
}

type gateConn struct {
	net.Conn
	gateDialer
}

func (d gateDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return gateConn{conn, d}, err
}

func (c gateConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("$JS.API.STREAM.MSG.DELETE.")) && c.erased.Add(1) > 1 {
		<-c.open
	}
	return c.Conn.Write(b)
}

// TestEraseAnEventOfALateWorker publishes another event of the client as soon as the first one is erased: after the first pass has
// read the end of the stream.
func TestEraseAnEventOfALateWorker(t *testing.T) {
	t.Parallel()
	const n = 3
	s := newSystem(t)
	gone, stays := publishertest.NewID(t), publishertest.NewID(t)
	for range n {
		s.post(eventOf(gone))
	}
	s.post(eventOf(stays))
	late, published := make(chan error, 1), make(chan struct{})
	first, err := s.nc.Subscribe("$JS.API.STREAM.MSG.DELETE."+domain.StreamEvents, func(*nats.Msg) {
		_, err := s.js.PublishMsg(t.Context(), eventOf(gone))
		late <- err
		close(published)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.AutoUnsubscribe(1); err != nil {
		t.Fatal(err)
	}
	// The first pass does not end before.
	nc, err := nats.Connect(s.nc.ConnectedUrl(), nats.Timeout(20*time.Second), nats.SetCustomDialer(gateDialer{new(atomic.Int32), published}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	admin, err := publisher.OpenAdmin(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	erased, err := admin.Erase(t.Context(), []uuid.UUID{gone})
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	if err != nil || erased[0].Events != n+1 {
		t.Errorf("erased %+v (%v), want %d events", erased, err, n+1)
	}
	var left []string
	for _, msg := range s.messages(domain.StreamEvents) {
		left = append(left, msg.Subject+" "+msg.Header.Get("ce-subject"))
	}
	want := []string{domain.SubjectCreated + " " + stays.String(), domain.SubjectErased + " " + gone.String()}
	if len(left) != len(want) || left[0] != want[0] || left[1] != want[1] {
		t.Errorf("the stream has %v, want %v", left, want)
	}
}

// TestEraseTwice checks that each erasure has an event: the stream remembers the id of the first one.
func TestEraseTwice(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ids := []uuid.UUID{publishertest.NewID(t), publishertest.NewID(t)}
	admin := openAdmin(t, s)
	for want := 2; want <= 4; want += 2 {
		if _, err := admin.Erase(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		eventIDs := map[string]bool{}
		for _, msg := range s.messages(domain.StreamEvents) {
			eventIDs[msg.Header.Get("ce-id")] = true
		}
		if len(eventIDs) != want {
			t.Errorf("%d ids of %s, want %d", len(eventIDs), domain.SubjectErased, want)
		}
	}
}

// TestEraseSeveral erases clients whose messages are on all streams, in one pass over the events.
func TestEraseSeveral(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ids := []uuid.UUID{publishertest.NewID(t), publishertest.NewID(t), publishertest.NewID(t)}
	stays := publishertest.NewID(t)
	for range 3 {
		for _, id := range append(ids[:2:2], stays) {
			s.post(eventOf(id))
		}
	}
	s.postID(ids[1].String(), "x")
	s.reject(domain.Rejection{ID: ids[2].String(), Reason: domain.CodeInvalid, RejectedAt: time.Now()})
	passes := make(chan *nats.Msg, 100)
	if _, err := s.nc.ChanSubscribe("$JS.API.CONSUMER.CREATE."+domain.StreamEvents+".>", passes); err != nil {
		t.Fatal(err)
	}
	erased, err := openAdmin(t, s).Erase(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []publisher.Erased{{Events: 3}, {Events: 3, Commands: 1}, {Rejections: 1}} {
		if erased[i] != want {
			t.Errorf("client %d: %+v, want %+v", i, erased[i], want)
		}
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := len(passes); n != 2 { // the second begins where the first ended
		t.Errorf("%d passes over the events, want 2", n)
	}
	left := map[string]int{}
	for _, name := range []string{domain.StreamCommands, domain.StreamRejections, domain.StreamEvents} {
		for _, msg := range s.messages(name) {
			left[msg.Subject+" "+msg.Header.Get("ce-subject")]++
		}
	}
	if len(left) != 4 || left[domain.SubjectCreated+" "+stays.String()] != 3 {
		t.Errorf("left are %v, want three events of %s and an erasure of each other client", left, stays)
	}
}
