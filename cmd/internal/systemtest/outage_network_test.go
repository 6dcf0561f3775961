package systemtest

import (
	"net/http"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// The network between Clientele and NATS loses data, delays it, and ends connections.

// unknown posts under a key and checks that the answer arrives in time, reports an unknown outcome and names the operation.
func unknown(t *testing.T, s *testcluster.Cluster, api, key string) {
	t.Helper()
	begin := time.Now()
	r := testcluster.Post(t, api, testcluster.Jane, key)
	if took := time.Since(begin); took > testcluster.Patience {
		t.Errorf("answered after %s", took)
	}
	operation := "/api/v2/operations/" + s.KeyedID("anonymous", key).String()
	if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" ||
		r.Object(t)["type"] != "/problems/outcome-unknown" || r.Object(t)["operation"] != operation {
		t.Errorf("%d %v: %s", r.Status, r.Header, r.Body)
	}
}

// retried posts under a key until it is accepted, and returns the operation.
func retried(t *testing.T, api, key string) (operation string) {
	t.Helper()
	publishertest.Eventually(t, "the request is accepted", func() bool {
		r := testcluster.Post(t, api, testcluster.Jane, key)
		operation = r.Operation()
		return r.Status == http.StatusAccepted
	})
	return operation
}

// If no answer arrives, the command may or may not be on the log. A retry under the same key is correct in both cases.
func TestTheLogDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		lose   func(*testcluster.Proxy)
		stored int
	}{
		{"the command is lost", (*testcluster.Proxy).LoseRequests, 0},
		{"the answer is lost", (*testcluster.Proxy).LoseAnswers, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := testcluster.New(t)
			s.Patient()
			between := testcluster.NewProxy(t, s.NATS.URL)
			ingress := s.Behind(between, "ingress")
			c.lose(between)
			unknown(t, s, ingress.API(), "key")
			if n := len(testcluster.Messages(t, s.NATS.URL, domain.StreamCommands)); n != c.stored {
				t.Errorf("%d commands on the log, want %d", n, c.stored)
			}
			between.Heal()
			operations := []string{retried(t, ingress.API(), "key")}
			s.Clientele("worker")
			s.Settled(ingress.API(), operations)
			s.DeliveredOnce()
		})
	}
}

func TestConnectionsBreak(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	between := testcluster.NewProxy(t, s.NATS.URL)
	ingress, worker := s.Behind(between, "ingress"), s.Behind(between, "worker")
	callers := testcluster.NewTraffic(t, ingress.API())
	callers.AwaitAccepted(20)
	for i := range 6 {
		_, before := callers.Counts()
		if i%2 == 0 {
			between.Reset()
		} else {
			between.Cut()
		}
		publishertest.Eventually(t, "requests are refused", func() bool { _, now := callers.Counts(); return now >= before+5 })
		between.Heal()
		callers.AwaitAccepted(20)
	}
	operations := callers.Stop()
	s.Settled(ingress.API(), operations)
	worker.Ready()
}

// With answers this late, a worker may request commands and stop waiting before they arrive: they are delivered again.
func TestAnswersAreLate(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	between := testcluster.NewProxy(t, s.NATS.URL)
	ingress := s.Behind(between, "ingress")
	s.Behind(between, "worker")
	callers := testcluster.NewTraffic(t, ingress.API())
	callers.AwaitAccepted(20)
	between.Delay(time.Second) // longer than a worker waits, and so short that no connection is taken for dead
	callers.AwaitAccepted(8)
	between.Heal()
	callers.AwaitAccepted(20)
	operations := callers.Stop()
	for problem := range callers.Refusals {
		if problem != "/problems/outcome-unknown" {
			t.Errorf("refused: %s", problem)
		}
	}
	s.Settled(ingress.API(), operations)
}

// Neither side is told that the connection is gone.
func TestAnIngressIsCutOff(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	between := testcluster.NewProxy(t, s.NATS.URL)
	ingress := s.Behind(between, "ingress")
	s.Clientele("worker")
	operations := testcluster.PostTwenty(t, ingress.API())
	between.Lose()
	unknown(t, s, ingress.API(), "key")
	ingress.Says("lost the connection to NATS")
	if r := testcluster.Post(t, ingress.API(), testcluster.Jane, "later"); r.Status != http.StatusServiceUnavailable || r.Object(t)["type"] != "/problems/unavailable" {
		t.Errorf("%d: %s", r.Status, r.Body)
	}
	if r := testcluster.Get(t, ingress.Admin()+"/readyz"); r.Status != http.StatusServiceUnavailable || !strings.Contains(r.Body, "NATS") {
		t.Errorf("readyz: %d %s", r.Status, r.Body)
	}
	between.Heal()
	operations = append(operations, retried(t, ingress.API(), "key"), retried(t, ingress.API(), "later"))
	ingress.Ready()
	s.Settled(ingress.API(), operations)
}

// A worker that has received commands is cut off, or paused, for longer than the ack wait. Another processes them. When the first continues
// after its own commit, it leaves the outcomes to the other.
func TestAWorkerIsLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// away and back begin and end the outage of the worker.
		away, back func(*testcluster.Process, *testcluster.Proxy)
	}{
		{"unheard", func(_ *testcluster.Process, p *testcluster.Proxy) { p.Lose() }, func(_ *testcluster.Process, p *testcluster.Proxy) { p.Heal() }},
		{"halted", func(w *testcluster.Process, _ *testcluster.Proxy) { w.Signal(syscall.SIGSTOP) }, func(w *testcluster.Process, _ *testcluster.Proxy) { w.Signal(syscall.SIGCONT) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := testcluster.New(t)
			between := testcluster.NewProxy(t, s.NATS.URL)
			ingress := s.Clientele("ingress")
			operations := testcluster.PostTwenty(t, ingress.API())
			unlock := s.Lock()
			late := s.Behind(between, "worker")
			s.LocksHeld()
			c.away(late, between)
			other := s.Clientele("worker")
			publishertest.Eventually(t, "commands are delivered to another", func() bool {
				delivered := s.Consumer().Delivered
				return delivered.Consumer > delivered.Stream
			})
			unlock()
			publishertest.Eventually(t, "every command is acknowledged", s.Drained)
			other.Ready()
			publishertest.Eventually(t, "the event is seen", func() bool { return len(s.Published()[path.Base(operations[0])]) > 0 })
			published := len(s.Published()[path.Base(operations[0])])
			c.back(late, between)
			late.Says("did not publish the outcomes")
			operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
			s.Settled(ingress.API(), operations)
			if n := len(s.Published()[path.Base(operations[0])]); n != published {
				t.Errorf("the late worker published %d events", n-published)
			}
			late.Ready()
		})
	}
}
