package main

import (
	"net/http"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/publishertest"
)

// The network between Clientele and NATS loses, delays and breaks.

// unknown posts under a key and checks that the caller hears in time that the outcome is not known, and where to look.
func unknown(t *testing.T, api, key string) {
	t.Helper()
	begin := time.Now()
	r := post(t, api, jane, key)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("answered after %s", took)
	}
	operation := "/api/v2/operations/" + domain.KeyedID("anonymous", key).String()
	if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" ||
		r.object(t)["type"] != "/problems/outcome-unknown" || r.object(t)["operation"] != operation {
		t.Errorf("%d %v: %s", r.status, r.header, r.body)
	}
}

// retried posts under a key until it is accepted, and returns the operation.
func retried(t *testing.T, api, key string) (operation string) {
	t.Helper()
	publishertest.Eventually(t, "the request is accepted", func() bool {
		r := post(t, api, jane, key)
		operation = r.header.Get("Location")
		return r.status == http.StatusAccepted
	})
	return operation
}

// An answer that does not come leaves it open whether the command is on the log. A retry under the key is right either way.
func TestTheLogIsNotHeard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		lose   func(*proxy)
		stored int
	}{
		{"the command is lost", (*proxy).loseRequests, 0},
		{"the answer is lost", (*proxy).loseAnswers, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			between := newProxy(t, s.nats.url)
			ingress := s.behind(between, "ingress")
			c.lose(between)
			unknown(t, ingress.api(), "key")
			if n := len(messages(t, s.nats.url, domain.StreamCommands)); n != c.stored {
				t.Errorf("%d commands on the log, want %d", n, c.stored)
			}
			between.heal()
			operations := []string{retried(t, ingress.api(), "key")}
			s.clientele("worker")
			s.settled(ingress.api(), operations)
			s.deliveredOnce()
		})
	}
}

func TestConnectionsBreak(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ackWait(2 * time.Second)
	between := newProxy(t, s.nats.url)
	ingress, worker := s.behind(between, "ingress"), s.behind(between, "worker")
	callers := gather(t, ingress.api())
	callers.goesOn(20)
	for i := range 6 {
		_, before := callers.counts()
		if i%2 == 0 {
			between.reset()
		} else {
			between.cut()
		}
		publishertest.Eventually(t, "requests are refused", func() bool { _, now := callers.counts(); return now >= before+5 })
		between.heal()
		callers.goesOn(20)
	}
	operations := callers.leave()
	s.settled(ingress.api(), operations)
	worker.ready()
}

// A worker that is answered this late may ask for commands, and be gone when they come: they are delivered again.
func TestAnswersAreLate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ackWait(4 * time.Second)
	between := newProxy(t, s.nats.url)
	ingress := s.behind(between, "ingress")
	s.behind(between, "worker")
	callers := gather(t, ingress.api())
	callers.goesOn(20)
	between.delay(2 * time.Second)
	callers.goesOn(8)
	between.heal()
	callers.goesOn(20)
	operations := callers.leave()
	for problem := range callers.refusals {
		if problem != "/problems/outcome-unknown" {
			t.Errorf("refused: %s", problem)
		}
	}
	s.settled(ingress.api(), operations)
}

// Neither side hears that the connection is gone.
func TestAnIngressIsAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	between := newProxy(t, s.nats.url)
	ingress := s.behind(between, "ingress")
	s.clientele("worker")
	operations := take(t, ingress.api())
	between.lose()
	unknown(t, ingress.api(), "key")
	ingress.says("lost the connection to NATS")
	if r := post(t, ingress.api(), jane, "later"); r.status != http.StatusServiceUnavailable || r.object(t)["type"] != "/problems/unavailable" {
		t.Errorf("%d: %s", r.status, r.body)
	}
	if r := get(t, ingress.admin()+"/readyz"); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "NATS") {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	between.heal()
	operations = append(operations, retried(t, ingress.api(), "key"), retried(t, ingress.api(), "later"))
	ingress.ready()
	s.settled(ingress.api(), operations)
}

// A worker that has commands in hand is not heard of, or halts, for longer than the log waits. Another does its work. When it
// comes back, late and with a commit and events of its own, that does no harm.
func TestAWorkerIsLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// away and back are what happens to the worker.
		away, back func(*proc, *proxy)
	}{
		{"unheard", func(_ *proc, p *proxy) { p.lose() }, func(_ *proc, p *proxy) { p.heal() }},
		{"halted", func(w *proc, _ *proxy) { w.signal(syscall.SIGSTOP) }, func(w *proc, _ *proxy) { w.signal(syscall.SIGCONT) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.ackWait(2 * time.Second)
			between := newProxy(t, s.nats.url)
			ingress := s.clientele("ingress")
			operations := take(t, ingress.api())
			unlock := s.lock()
			late := s.behind(between, "worker")
			s.held()
			c.away(late, between)
			other := s.clientele("worker")
			publishertest.Eventually(t, "commands are delivered to another", func() bool {
				delivered := s.consumer().Delivered
				return delivered.Consumer > delivered.Stream
			})
			unlock()
			publishertest.Eventually(t, "every command is acknowledged", s.drained)
			other.ready()
			before := len(s.published()[path.Base(operations[0])])
			c.back(late, between)
			publishertest.Eventually(t, "the late worker sends its events", func() bool {
				return len(s.published()[path.Base(operations[0])]) > before
			})
			operations = append(operations, take(t, ingress.api())...)
			s.settled(ingress.api(), operations)
			late.ready()
		})
	}
}
