package publisher_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// system has the streams, an operator's view of them, and a worker that the test controls.
type system struct {
	t          *testing.T
	nc         *nats.Conn
	js         jetstream.JetStream
	log        *publisher.Log
	outcomes   *publisher.OutcomePublisher
	rejections *publisher.Rejections
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, nc: publishertest.Start(t).Connect(t)}
	s.log = openLog(t, s.nc, 0)
	var err error
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), s.js); err != nil {
		t.Fatal(err)
	}
	if s.outcomes, err = publisher.OpenOutcomePublisher(t.Context(), s.nc); err != nil {
		t.Fatal(err)
	}
	if s.rejections, err = publisher.OpenRejections(t.Context(), s.nc); err != nil {
		t.Fatal(err)
	}
	return s
}

// post publishes a message to the command log.
func (s *system) post(msg *nats.Msg) {
	s.t.Helper()
	if _, err := s.js.PublishMsg(s.t.Context(), msg); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) postID(id, body string) {
	s.t.Helper()
	s.post(&nats.Msg{Subject: domain.SubjectCreate + id, Data: []byte(body)})
}

// work fetches n commands from the log, rejects the selected ones, and acknowledges all.
func (s *system) work(n int, rejected bool) {
	s.t.Helper()
	for _, msg := range s.take(n) {
		s.finish(msg, rejected)
	}
}

func (s *system) take(n int) []jetstream.Msg {
	s.t.Helper()
	worker, err := s.js.Consumer(s.t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		s.t.Fatal(err)
	}
	batch, err := worker.Fetch(n)
	if err != nil {
		s.t.Fatal(err)
	}
	var msgs []jetstream.Msg
	for msg := range batch.Messages() {
		msgs = append(msgs, msg)
	}
	if len(msgs) != n {
		s.t.Fatalf("%d commands on the log, want %d", len(msgs), n)
	}
	return msgs
}

func (s *system) finish(msg jetstream.Msg, rejected bool) {
	s.t.Helper()
	if rejected {
		meta, err := msg.Metadata()
		if err != nil {
			s.t.Fatal(err)
		}
		s.reject(domain.Rejection{
			ID:         strings.TrimPrefix(msg.Subject(), domain.SubjectCreate),
			Reason:     domain.CodeUnstorable,
			RejectedAt: domain.Timestamp(time.Now()),
			Command:    domain.RejectedCommand{Sequence: meta.Sequence.Stream, Headers: msg.Headers(), Body: msg.Data()},
		})
	}
	if err := msg.DoubleAck(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) reject(rejections ...domain.Rejection) {
	s.t.Helper()
	if err := s.outcomes.PublishRejections(rejections); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) get(id string) publisher.StoredRejection {
	s.t.Helper()
	r, err := s.rejections.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *system) retry(id string) {
	s.t.Helper()
	if err := s.rejections.Retry(s.t.Context(), s.get(id)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) wantSkipped(err error, reason string) {
	s.t.Helper()
	if skipped, ok := errors.AsType[*publisher.SkippedError](err); !ok || !strings.Contains(skipped.Reason, reason) {
		s.t.Errorf("error %v, want skipped: %s", err, reason)
	}
}

// bodies returns the messages of a stream by the last token of the subject.
func (s *system) bodies(name string) map[string]string {
	s.t.Helper()
	bodies := map[string]string{}
	for _, msg := range s.messages(name) {
		bodies[msg.Subject[strings.LastIndex(msg.Subject, ".")+1:]] = string(msg.Data)
	}
	return bodies
}

func (s *system) messages(name string) []*jetstream.RawStreamMsg {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	var msgs []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		if msg, err := stream.GetMsg(s.t.Context(), seq); err == nil {
			msgs = append(msgs, msg)
		}
	}
	return msgs
}

// want checks which commands are on the log, by id and body, and which ids have a rejection.
func (s *system) want(commands map[string]string, rejections ...string) {
	s.t.Helper()
	if got := s.bodies(domain.StreamCommands); !maps.Equal(got, commands) {
		s.t.Errorf("commands %q, want %q", got, commands)
	}
	if got := slices.Sorted(maps.Keys(s.bodies(domain.StreamRejections))); !slices.Equal(got, rejections) {
		s.t.Errorf("rejections of %q, want %q", got, rejections)
	}
}
