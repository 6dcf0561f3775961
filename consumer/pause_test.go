package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// pause pauses the consumer, as publisher/workers does.
func (s *system) pause(d time.Duration) (until time.Time) {
	s.t.Helper()
	until = time.Now().Add(d).UTC()
	if _, err := s.js.PauseConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker, until); err != nil {
		s.t.Fatal(err)
	}
	return until
}

// fetches waits until workers have asked for commands this often.
func (s *system) fetches(n int32) {
	s.t.Helper()
	var asked atomic.Int32
	sub, err := s.server.Connect(s.t).Subscribe("$JS.API.CONSUMER.MSG.NEXT."+domain.StreamCommands+"."+domain.ConsumerWorker, func(*nats.Msg) { asked.Add(1) })
	if err != nil {
		s.t.Fatal(err)
	}
	publishertest.Eventually(s.t, "workers ask for commands", func() bool { return asked.Load() >= n })
	if err := sub.Unsubscribe(); err != nil {
		s.t.Fatal(err)
	}
}

// gauge returns the value of a metric of the log.
func gauge(t *testing.T, c prometheus.Collector, name string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	var value float64
	publishertest.Eventually(t, "metric "+name, func() bool { // it is absent if NATS does not answer in time
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
		if i >= 0 {
			value = families[i].GetMetric()[0].GetGauge().GetValue()
		}
		return i >= 0
	})
	return value
}

// Neither a migration nor a restart of the server ends a pause.
func TestAPauseStopsAllWorkers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.worker(consumer.Config{})
	backlog, err := consumer.NewBacklog(s.nc)
	if err != nil {
		t.Fatal(err)
	}
	s.run(consumer.Config{})
	s.run(consumer.Config{Concurrency: 3})
	commands := s.publishCommands(5)
	s.drained()
	if err := w.Unpaused(t.Context()); err != nil || gauge(t, w, "clientele_worker_paused") != 0 {
		t.Errorf("before the pause: %v", err)
	}

	until, before := s.pause(time.Hour), s.deliveries()
	commands = slices.Concat(commands, s.publishCommands(20))
	waits := func(when string) {
		t.Helper()
		s.fetches(10)
		if n, info := s.deliveries(), s.consumerInfo(); n != before || !info.Paused || info.NumPending != 20 {
			t.Errorf("%s: %d deliveries, want %d: %+v", when, n, before, info)
		}
	}
	waits("paused")
	paused, ok := errors.AsType[*consumer.PausedError](w.Unpaused(t.Context()))
	if !ok || !paused.Until.Equal(until) || !strings.Contains(paused.Error(), "clientele resume") {
		t.Errorf("%v, want %s", paused, until)
	}
	for _, c := range []prometheus.Collector{w, backlog} {
		if gauge(t, c, "clientele_worker_paused") != 1 {
			t.Errorf("%T has no pause", c)
		}
	}
	if err := consumer.Migrate(t.Context(), s.js); err != nil {
		t.Fatal(err)
	}
	waits("after a migration")
	s.server.Down()
	s.server.Up(t)
	publishertest.Eventually(t, "the server is up", func() bool { return w.Ready(t.Context()) == nil })
	s.run(consumer.Config{})
	waits("after a restart")

	if _, err := s.js.ResumeConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	s.drained()
	s.same(commands)
	if err := w.Unpaused(t.Context()); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestAPauseEndsWithoutHelp(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.run(consumer.Config{})
	until := s.pause(5 * time.Second)
	commands := s.publishCommands(5)
	s.drained()
	if now := time.Now(); now.Before(until) {
		t.Errorf("the pause ended %s too early", until.Sub(now))
	}
	s.same(commands)
}

// A worker finishes what it has. What a dead one had waits for the end of the pause.
func TestAPauseLetsWorkersFinish(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.setAckWait(patientAckWait)
	commands := s.publishCommands(7)
	w := s.worker(consumer.Config{})
	msgs := s.fetch(w, 7)
	s.pause(time.Hour)
	w.Work(t.Context(), msgs)
	s.same(commands)
	if info := s.consumerInfo(); !info.Paused || info.AckFloor.Stream != 7 || info.NumAckPending != 0 {
		t.Errorf("%+v", info)
	}
	if late, err := w.Fetch(); len(late) > 0 || err != nil {
		t.Errorf("%d commands in a pause: %v", len(late), err)
	}
}

// Foreign commands, too, can name long members. Their rejections are bounded.
func TestARejectionOfALongNameIsBounded(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	msg := messageOf(publishertest.Command(t, publishertest.NewID(t), "Smith"))
	msg.Data = []byte(`{"` + strings.Repeat("é", 15_000) + `": 1,` + string(msg.Data[1:]))
	s.publish(msg)
	s.run(consumer.Config{})
	s.drained()
	r := s.rejections()
	if len(r) != 1 || len(r[0].Errors) != 1 || r[0].Errors[0] != (domain.Violation{Pointer: "/" + strings.Repeat("é", 126) + "…", Detail: "is an unknown member"}) {
		t.Errorf("%d rejections: %.1000v", len(r), r)
	}
}
