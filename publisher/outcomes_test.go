package publisher_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

func events(t testing.TB, n int) []domain.Event {
	t.Helper()
	var events []domain.Event
	for range n {
		e, err := domain.NewEvent(publishertest.Command(t, publishertest.NewID(t), "Smith").Client(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// Above its limit, the event stream refuses nothing and drops the oldest events. The limit stays until it is set again.
func TestEventMaxBytes(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	published := uint64(0)
	for _, c := range []struct {
		set, want int64
		drops     bool
	}{{0, -1, false}, {64 << 10, 64 << 10, true}, {0, 64 << 10, true}, {-1, -1, false}} {
		if err := streams.Migrate(t.Context(), js, streams.Config{EventMaxBytes: c.set}); err != nil {
			t.Fatal(err)
		}
		before := max(streamInfo(t, nc, domain.StreamEvents).State.FirstSeq, 1)
		for _, n := range []int{1, 100} { // single, and as a batch
			if err := outcomes.PublishEvents(events(t, n)); err != nil {
				t.Fatal(err)
			}
			published += uint64(n)
		}
		info := streamInfo(t, nc, domain.StreamEvents)
		if got := info.Config.MaxBytes; got != c.want || c.drops && info.State.Bytes > uint64(c.want) {
			t.Errorf("set to %d, the limit is %d, want %d; the stream has %d bytes", c.set, got, c.want, info.State.Bytes)
		}
		if info.State.LastSeq != published || info.State.NumDeleted != 0 || info.State.FirstSeq > before != c.drops {
			t.Errorf("set to %d, the stream has %d to %d without %d, want the newest of %d",
				c.set, info.State.FirstSeq, info.State.LastSeq, info.State.NumDeleted, published)
		}
	}
}

func TestEventsAreCloudEvents(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 40} { // single, and as a batch
		nc := publishertest.Start(t).Connect(t)
		outcomes, err := publisher.OpenOutcomePublisher(context.Background(), nc)
		if err != nil {
			t.Fatal(err)
		}
		want := events(t, n)
		if err := outcomes.PublishEvents(want); err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(context.Background(), domain.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range want {
			msg, err := stream.GetMsg(context.Background(), uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			if msg.Subject != "client.created" || !bytes.Equal(msg.Data, e.Body) {
				t.Errorf("event %d: %s %s", i, msg.Subject, msg.Data)
			}
			for name, value := range map[string]string{
				"ce-specversion":     "1.0",
				"ce-id":              e.ID.String(),
				"ce-type":            "client.created",
				"ce-source":          "/clientele",
				"ce-subject":         e.Client.ID.String(),
				"ce-time":            e.Client.CreatedAt.Format(time.RFC3339Nano),
				"ce-datacontenttype": "application/json",
				"ce-dataschema":      "urn:clientele:client:2",
				"ce-acceptedat":      e.Client.AcceptedAt.Format(time.RFC3339Nano),
				"Content-Type":       "application/json",
				"Nats-Msg-Id":        e.ID.String(),
			} {
				if got := msg.Header.Get(name); got != value {
					t.Errorf("event %d: header %s is %q, want %q", i, name, got, value)
				}
			}
		}
	}
}

// When events are published again after an attempt with an unknown outcome, the stream stores new ones and drops duplicates.
func TestEventsPublishedAgain(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), nc)
	if err != nil {
		t.Fatal(err)
	}
	all := events(t, 1200)
	if err := outcomes.PublishEvents(all[:600]); err != nil {
		t.Fatal(err)
	}
	if err := outcomes.PublishEvents(all); err != nil {
		t.Fatal(err)
	}
	if n := streamInfo(t, nc, domain.StreamEvents).State.Msgs; n != 1200 {
		t.Errorf("%d events, want 1200", n)
	}
}

func TestRejectionsReplaceEachOther(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), nc)
	if err != nil {
		t.Fatal(err)
	}
	id := publishertest.NewID(t)
	first := domain.Rejection{ID: id.String(), Reason: domain.CodeInvalid}
	second := domain.Rejection{
		ID: id.String(), Reason: domain.CodeUnstorable, Deliveries: 3, RejectedAt: domain.Timestamp(time.Now()),
		Errors: []domain.Violation{{Pointer: "/firstName", Detail: "detail"}},
		Command: domain.RejectedCommand{
			Headers: map[string][]string{"Clientele-Caller": {"tester"}},
			Body:    []byte("\xff not JSON"),
		},
	}
	for _, r := range []domain.Rejection{first, second} {
		if err := outcomes.PublishRejections([]domain.Rejection{r}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := openLog(t, nc, 0).Rejection(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got.Reason != second.Reason || got.Deliveries != 3 || !bytes.Equal(got.Command.Body, second.Command.Body) {
		t.Errorf("rejection: %+v", got)
	}
	if n := streamInfo(t, nc, domain.StreamRejections).State.Msgs; n != 1 {
		t.Errorf("%d rejections, want 1", n)
	}
}

// Every command that the log accepts fits into a rejection, even if JSON must escape every byte of its headers.
func TestTheLargestCommandCanBeRejected(t *testing.T) {
	t.Parallel()
	nc := publishertest.Start(t).Connect(t)
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), nc)
	if err != nil {
		t.Fatal(err)
	}
	r := domain.Rejection{
		ID:     publishertest.NewID(t).String(),
		Reason: domain.CodeUndecodable,
		Command: domain.RejectedCommand{
			Headers: map[string][]string{"X": {strings.Repeat("\x01", 32<<10)}},
			Body:    bytes.Repeat([]byte{0xff}, 32<<10),
		},
	}
	if err := outcomes.PublishRejections([]domain.Rejection{r}); err != nil {
		t.Error(err)
	}
}
