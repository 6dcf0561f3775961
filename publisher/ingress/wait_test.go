package ingress_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// command waits for a command on the log and returns its id.
func (h *harness) command() uuid.UUID {
	h.t.Helper()
	js, err := jetstream.New(h.server.Connect(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	var id uuid.UUID
	publishertest.Eventually(h.t, "a command on the log", func() bool {
		stream, err := js.Stream(context.Background(), domain.StreamCommands)
		if err != nil {
			h.t.Fatal(err)
		}
		msg, err := stream.GetLastMsgForSubject(context.Background(), domain.SubjectCreate+"*")
		if err != nil {
			return false
		}
		id = uuid.MustParse(strings.TrimPrefix(msg.Subject, domain.SubjectCreate))
		return true
	})
	return id
}

// notify publishes the completion notice, as a worker does last.
func (h *harness) notify(id uuid.UUID) {
	h.t.Helper()
	nc := h.server.Connect(h.t)
	if err := nc.Publish(domain.SubjectCompleted+id.String(), nil); err != nil {
		h.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		h.t.Fatal(err)
	}
}

func TestPrefer(t *testing.T) {
	handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	for value, applied := range map[string]string{
		"": "", "respond-async": "respond-async", "wait=0": "", "wait=x": "", "wait=-1": "", "wait": "", "handling=lenient": "",
		"Respond-Async; foo=bar": "respond-async", "wait=0, respond-async": "respond-async",
	} {
		a := serve(handler, "Prefer", value)
		if a.StatusCode != http.StatusAccepted || a.Header.Get("Preference-Applied") != applied || a.Header.Get("Vary") != "Prefer" {
			t.Errorf("%q: %s %v", value, a.Status, a.Header)
		}
	}
}

func TestWaitForAClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	answers := make(chan answer)
	go func() { answers <- h.post(jane, "Prefer", `respond-async, wait="20"`) }()
	id := h.command()
	var asked sync.WaitGroup
	asked.Go(func() {
		a := h.request(http.MethodGet, "/api/v2/operations/"+id.String(), "", "Prefer", "wait=100")
		if a.object(t)["status"] != "succeeded" || a.Header.Get("Preference-Applied") != "wait=30" {
			t.Errorf("%v: %s", a.Header, a.body)
		}
	})
	h.notify(id) // too early: there is no outcome yet
	client := h.work(id, details(t))
	h.notify(id)
	a := <-answers
	want, err := client.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != http.StatusCreated || string(a.body) != string(want) || a.Header.Get("Location") != "/api/v2/clients/"+id.String() ||
		a.Header.Get("Preference-Applied") != "wait=20" || a.Header.Get("Vary") != "Prefer" || a.Header.Get("Retry-After") != "" {
		t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
	}
	asked.Wait()
}

func TestWaitForNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	began := time.Now()
	a := h.post(jane, "Prefer", "wait=1", "Idempotency-Key", "key")
	if took := time.Since(began); a.StatusCode != http.StatusAccepted || took < time.Second || a.object(t)["status"] != "pending" ||
		a.Header.Get("Preference-Applied") != "wait=1" || a.Header.Get("Retry-After") == "" {
		t.Errorf("after %s: %s %v: %s", took, a.Status, a.Header, a.body)
	}
	// A lost notice only costs time: the retry looks up the outcome.
	id := h.log.KeyedID("anonymous", "key")
	h.work(id, details(t))
	if a := h.post(jane, "Prefer", "wait=20", "Idempotency-Key", "key"); a.StatusCode != http.StatusCreated {
		t.Errorf("a retry after the outcome: %s: %s", a.Status, a.body)
	}
}

func TestWaitForARejection(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), h.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason domain.Code
		errs   []domain.Violation
		status int
		name   string
	}{
		{domain.CodeInvalid, []domain.Violation{{Pointer: "/firstName", Detail: "is wrong"}}, http.StatusUnprocessableEntity, "invalid"},
		{domain.CodeKeyReused, []domain.Violation{{Detail: "another command has this id"}}, http.StatusUnprocessableEntity, "idempotency-key-reused"},
		{domain.CodeErased, []domain.Violation{{Detail: "the client with this id was erased"}}, http.StatusGone, "erased"},
	} {
		answers := make(chan answer)
		go func() { answers <- h.post(jane, "Prefer", "wait=20") }()
		id := h.command()
		rejection := domain.Rejection{ID: id.String(), Reason: c.reason, Errors: c.errs, RejectedAt: domain.Timestamp(time.Now()), Command: h.onLog(id.String())}
		if err := outcomes.PublishRejections([]domain.Rejection{rejection}); err != nil {
			t.Fatal(err)
		}
		h.notify(id)
		a := <-answers
		if p := a.problem(t, c.status, c.name); len(p["errors"].([]any)) != len(c.errs) {
			t.Errorf("%s", a.body)
		}
		h.trim()
	}
}

// countingStore is a store that counts its reads of single clients.
type countingStore struct {
	store.Store
	reads atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, id uuid.UUID) (domain.Client, error) {
	s.reads.Add(1)
	return s.Store.Get(ctx, id)
}

func (s *countingStore) GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	s.reads.Add(1)
	return s.Store.GetAll(ctx, ids)
}

// TestAWaitingPostReadsTheRowOnce covers the two ways to a 201: a command that completes during the wait, and a retry of one
// that completed before.
func TestAWaitingPostReadsTheRowOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	counting := &countingStore{Store: h.store}
	handler := ingress.NewHandler(h.log, counting, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	created := func(what string, a answer) {
		t.Helper()
		if reads := counting.reads.Swap(0); a.StatusCode != http.StatusCreated || reads != 1 {
			t.Errorf("%s: %s after %d reads, want 1", what, a.Status, reads)
		}
	}
	answers := make(chan answer)
	go func() { answers <- serve(handler, "Prefer", "wait=20") }()
	id := h.command()
	h.work(id, details(t))
	h.notify(id)
	created("a new command", <-answers)

	h.work(uuid.MustParse(h.post(jane, "Idempotency-Key", "key").object(t)["id"].(string)), details(t))
	created("a retry", serve(handler, "Idempotency-Key", "key", "Prefer", "wait=20"))
}

// TestAWaitingRequestFreesItsSlot sends a second request while the only slot's request waits. The command completes only after
// the second request is served, so a first request that keeps its slot cannot see the outcome.
func TestAWaitingRequestFreesItsSlot(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int{http.MethodPost: http.StatusCreated, http.MethodGet: http.StatusOK} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			counting := &countingStore{Store: h.store}
			handler := ingress.NewHandler(h.log, counting, ingress.Config{Authenticator: auth.AllowAll{}, MaxRequests: 1, Logger: zerolog.Nop()})
			path := "/api/v2/clients"
			if method == http.MethodGet {
				path = "/api/v2/operations/" + h.post(jane).object(t)["id"].(string)
			}
			answers := make(chan answer)
			go func() { answers <- send(handler, method, path, "Prefer", "wait=30", "Idempotency-Key", "key") }()
			id := h.command()
			publishertest.Eventually(t, "the first request has the slot", func() bool { return counting.reads.Load() > 0 })
			publishertest.Eventually(t, "a second request is served", func() bool {
				return send(handler, http.MethodGet, "/api/v2/clients/"+id.String()).StatusCode == http.StatusNotFound
			})
			h.work(id, details(t))
			h.notify(id)
			if a := <-answers; a.StatusCode != want || strings.Contains(string(a.body), "pending") {
				t.Errorf("%s: %s", a.Status, a.body)
			}
		})
	}
}

// TestTooManyWait sends further requests while the only request that may wait does.
func TestTooManyWait(t *testing.T) {
	t.Parallel()
	h, metrics := newHarness(t), prometheus.NewRegistry()
	handler := ingress.NewHandler(h.log, h.store, ingress.Config{
		Authenticator: auth.AllowAll{}, MaxWaiting: 1, Metrics: metrics, Logger: zerolog.Nop(),
	})
	const wait = "wait=30"
	answers := make(chan answer)
	go func() { answers <- serve(handler, "Prefer", wait) }()
	id := h.command()
	operation := "/api/v2/operations/" + id.String()
	for _, a := range []answer{
		serve(handler, "Prefer", wait, "Idempotency-Key", "key"),
		send(handler, http.MethodGet, operation, "Prefer", wait),
	} {
		if a.StatusCode >= 300 || a.object(t)["status"] != "pending" || a.Header.Get("Preference-Applied") != "" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
		}
	}
	if waiting, declined := metric(t, metrics, "clientele_http_waiting_requests"), metric(t, metrics, "clientele_http_waits_declined_total"); waiting != 1 || declined != 2 {
		t.Errorf("%v waiting, %v declined", waiting, declined)
	}
	h.work(id, details(t))
	h.notify(id)
	if a := <-answers; a.StatusCode != http.StatusCreated || a.Header.Get("Preference-Applied") != wait {
		t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
	}
	// The place is free again.
	if a := send(handler, http.MethodGet, operation, "Prefer", wait); a.Header.Get("Preference-Applied") != wait || a.object(t)["status"] != "succeeded" {
		t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
	}
	if waiting := metric(t, metrics, "clientele_http_waiting_requests"); waiting != 0 {
		t.Errorf("%v waiting", waiting)
	}
}

// metric returns the value of a gauge or a counter without labels.
func metric(t *testing.T, metrics prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue() + family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// A process that stops does not wait for waiting requests.
func TestWaitUntilTheProcessStops(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	stopping := make(chan struct{})
	handler := ingress.NewHandler(h.log, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop(), Stopping: stopping})
	answers := make(chan answer)
	go func() { answers <- serve(handler, "Prefer", "wait=30") }()
	h.command()
	close(stopping)
	if a := <-answers; a.StatusCode != http.StatusAccepted {
		t.Errorf("%s: %s", a.Status, a.body)
	}
}
