package workers_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/publishertest"
	"clientele/publisher/workers"

	"github.com/nats-io/nats.go/jetstream"
)

// system is a server with the consumer of the workers, and an operator.
type system struct {
	t     *testing.T
	js    jetstream.JetStream
	trail *audit.Recorder
}

func newSystem(t *testing.T) *system {
	t.Helper()
	nc := publishertest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), domain.StreamCommands, jetstream.ConsumerConfig{Durable: domain.ConsumerWorker, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	trail, err := audit.Operator{Name: "alice"}.Open(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	return &system{t, js, trail}
}

func (s *system) consumer() *jetstream.ConsumerInfo {
	s.t.Helper()
	c, err := s.js.Consumer(s.t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.CachedInfo()
}

func (s *system) paused() *workers.Paused { return workers.PausedOf(s.t.Context(), s.js, s.consumer()) }

// records returns the audit trail as text.
func (s *system) records() (records []string) {
	s.t.Helper()
	for r, err := range audit.Read(s.t.Context(), s.js, audit.Filter{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		records = append(records, strings.TrimSpace(fmt.Sprintf("%s %s by %s: %s", r.Action, r.Result, r.Actor.Name, r.Target)))
	}
	return records
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if s.paused() != nil {
		t.Errorf("%+v", s.paused())
	}
	began := time.Now()
	first, err := workers.Pause(t.Context(), s.js, s.trail, time.Hour, "a new disk")
	if err != nil || first.Before(began.Add(time.Hour-time.Second)) || first.After(time.Now().Add(time.Hour+time.Second)) {
		t.Fatalf("%s, %v", first, err)
	}
	p := s.paused()
	if p == nil || !p.Until.Equal(first) || p.Operator != "alice" || p.Reason != "a new disk" || p.RemainingSeconds < 3500 || p.RemainingSeconds > 3600 {
		t.Errorf("%+v", p)
	}
	second, err := workers.Pause(t.Context(), s.js, s.trail, time.Minute, "")
	if err != nil || !second.Before(first) {
		t.Errorf("%s, %v", second, err)
	}
	if p = s.paused(); p == nil || !p.Until.Equal(second) || p.Operator != "alice" || p.Reason != "" {
		t.Errorf("%+v", p)
	}
	ended, err := workers.Resume(t.Context(), s.js, s.trail)
	if err != nil || ended == nil || !ended.Until.Equal(second) || s.paused() != nil {
		t.Errorf("%+v, %v", ended, err)
	}
	if again, err := workers.Resume(t.Context(), s.js, s.trail); again != nil || err != nil {
		t.Errorf("%+v, %v", again, err)
	}
	one, two := first.Format(time.RFC3339), second.Format(time.RFC3339)
	want := []string{
		"pause started by alice: " + one + " a new disk", "pause succeeded by alice: " + one + " a new disk",
		"pause started by alice: " + two, "pause succeeded by alice: " + two,
		"resume started by alice:", "resume succeeded by alice:",
	}
	if got := s.records(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Another program can pause the consumer. The reason of an earlier pause is not its reason.
func TestAPauseOfAnotherProgram(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if _, err := workers.Pause(t.Context(), s.js, s.trail, time.Hour, "a new disk"); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(30 * time.Minute).UTC()
	if _, err := s.js.PauseConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker, until); err != nil {
		t.Fatal(err)
	}
	if p := s.paused(); p == nil || !p.Until.Equal(until) || p.Operator != "" || p.Reason != "" {
		t.Errorf("%+v", p)
	}
	if ended, err := workers.Resume(t.Context(), s.js, s.trail); err != nil || ended == nil || s.paused() != nil {
		t.Errorf("%+v, %v", ended, err)
	}
}

func TestWhatIsNoPause(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, c := range []struct {
		length time.Duration
		reason string
	}{
		{0, ""},
		{-time.Hour, ""},
		{workers.MinPause - 1, ""},
		{workers.MaxPause + 1, ""},
		{time.Hour, strings.Repeat("é", 201)},
		{time.Hour, "a\nb"},
		{time.Hour, "\xff"},
		{time.Hour, "\u202e"},
	} {
		if until, err := workers.Pause(t.Context(), s.js, s.trail, c.length, c.reason); err == nil {
			t.Errorf("%+v: paused until %s", c, until)
		}
	}
	if s.paused() != nil || len(s.records()) > 0 {
		t.Errorf("%+v, %q", s.paused(), s.records())
	}
	if _, err := workers.Pause(t.Context(), s.js, s.trail, workers.MaxPause, strings.Repeat("é", 200)); err != nil {
		t.Error(err)
	}
}

// What cannot be recorded is not done.
func TestWithoutAnAuditTrailNothingChanges(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if err := s.js.DeleteStream(t.Context(), domain.StreamAudit); err != nil {
		t.Fatal(err)
	}
	_, err := workers.Pause(t.Context(), s.js, s.trail, time.Hour, "")
	if _, ok := errors.AsType[*audit.NotRecordedError](err); !ok || s.paused() != nil {
		t.Errorf("%v, %+v", err, s.paused())
	}
	if _, err := s.js.PauseConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = workers.Resume(t.Context(), s.js, s.trail)
	if _, ok := errors.AsType[*audit.NotRecordedError](err); !ok || s.paused() == nil {
		t.Errorf("%v, %+v", err, s.paused())
	}
}

func TestWithoutTheConsumerThereIsNothingToPause(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if err := s.js.DeleteConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	_, paused := workers.Pause(t.Context(), s.js, s.trail, time.Hour, "")
	_, resumed := workers.Resume(t.Context(), s.js, s.trail)
	for _, err := range []error{paused, resumed} {
		if err == nil || !strings.Contains(err.Error(), "clientele migrate") {
			t.Errorf("%v", err)
		}
	}
	if len(s.records()) > 0 {
		t.Errorf("%q", s.records())
	}
}
