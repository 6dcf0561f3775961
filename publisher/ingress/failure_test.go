package ingress_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// tooLong is a time in which a request is answered also on a busy machine while the log does not answer, which the service waits 2 s for.
const tooLong = 15 * time.Second

func TestLogUnavailable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.server.Down()
	start := time.Now()
	a := h.post(jane)
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || time.Since(start) > tooLong {
		t.Errorf("%s after %s: %s", a.Status, time.Since(start), a.body)
	}
	h.request(http.MethodGet, "/api/v2/operations/01a2094a-ae7f-79f4-934c-b301506a32bf", "").
		problem(t, http.StatusServiceUnavailable, "unavailable")
	h.server.Up(t)
	publishertest.Eventually(t, "commands are accepted again", func() bool { return h.post(jane).StatusCode == http.StatusAccepted })
}

func TestStoreUnavailable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first := h.post(jane, "Idempotency-Key", "key")
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	if a := h.post(jane); a.StatusCode != http.StatusAccepted {
		t.Errorf("%s: %s", a.Status, a.body)
	}
	again := h.post(jane, "Idempotency-Key", "key")
	for _, member := range []string{"id", "status", "acceptedAt"} {
		if got, want := again.object(t)[member], first.object(t)[member]; again.StatusCode != http.StatusAccepted || got != want {
			t.Errorf("%s: %v of a retry is %v, not %v", again.Status, member, got, want)
		}
	}
	id := first.object(t)["id"].(string)
	h.request(http.MethodGet, "/api/v2/clients/"+id, "").problem(t, http.StatusServiceUnavailable, "unavailable")
	h.request(http.MethodGet, "/api/v2/operations/"+id, "").problem(t, http.StatusServiceUnavailable, "unavailable")
}

func TestABodyThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	api := httptest.NewUnstartedServer(ingress.NewHandler(h.log, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()}))
	api.Config.ReadTimeout = 3 * time.Second // for the header, too
	api.Start()
	t.Cleanup(api.Close)
	body, unwritten := io.Pipe()
	t.Cleanup(func() { _ = unwritten.Close() })
	response, err := api.Client().Post(api.URL+"/api/v2/clients", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer{response, read}.problem(t, http.StatusRequestTimeout, "timeout")
}

// waitingClients is a store that never answers.
type waitingClients struct{ ingress.Clients }

func (waitingClients) Get(ctx context.Context, _ uuid.UUID) (domain.Client, error) {
	<-ctx.Done()
	return domain.Client{}, ctx.Err()
}

func (waitingClients) GetAll(ctx context.Context, _ []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestCallerHangsUp checks that a request whose caller has hung up causes neither a warning in the log nor a 5xx in the metrics.
func TestCallerHangsUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const id = "01a2094a-ae7f-79f4-934c-b301506a32bf"
	for name, c := range map[string]struct {
		authenticator auth.Authenticator
		log           ingress.Log
		method, path  string
	}{
		"authenticate":  {waitingAuthenticator{}, h.log, http.MethodPost, "/api/v2/clients"},
		"create":        {auth.AllowAll{}, silentLog{h.log}, http.MethodPost, "/api/v2/clients"},
		"wait":          {auth.AllowAll{}, slowLog{Log: h.log}, http.MethodPost, "/api/v2/clients"},
		"get client":    {auth.AllowAll{}, h.log, http.MethodGet, "/api/v2/clients/" + id},
		"get operation": {auth.AllowAll{}, h.log, http.MethodGet, "/api/v2/operations/" + id},
	} {
		var logged bytes.Buffer
		handler := ingress.NewHandler(c.log, waitingClients{}, ingress.Config{Authenticator: c.authenticator, Logger: zerolog.New(&logged)})
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		r := httptest.NewRequestWithContext(ctx, c.method, c.path, strings.NewReader(jane))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "key")
		r.Header.Set("Prefer", "wait=10")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if logged.Len() > 0 || w.Code >= http.StatusInternalServerError || w.Code < http.StatusBadRequest {
			t.Errorf("%s: %d, logged %s", name, w.Code, &logged)
		}
	}
}

// waitingAuthenticator asks an issuer that never answers.
type waitingAuthenticator struct{}

func (waitingAuthenticator) Authenticate(ctx context.Context, _ string) (auth.Caller, error) {
	<-ctx.Done()
	return auth.Caller{}, ctx.Err()
}

// silentLog is a log whose Append never returns an answer, so the outcome is unknown.
type silentLog struct{ *publisher.Log }

func (silentLog) Append(ctx context.Context, _ domain.CreateClient) (time.Time, error) {
	<-ctx.Done()
	return time.Time{}, domain.Errorf(domain.CodeUnknown, "no answer: %w", ctx.Err())
}

func TestAnUnknownOutcomeNamesTheOperation(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	handler := ingress.NewHandler(silentLog{h.log}, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	r := httptest.NewRequest(http.MethodPost, "/api/v2/clients", strings.NewReader(jane))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "key")
	w := httptest.NewRecorder()
	start := time.Now()
	handler.ServeHTTP(w, r)
	if took := time.Since(start); took > tooLong {
		t.Errorf("the caller waited %s", took)
	}
	a := answer{w.Result(), w.Body.Bytes()}
	p := a.problem(t, http.StatusServiceUnavailable, "outcome-unknown")
	if p["operation"] != "/api/v2/operations/"+h.log.KeyedID("anonymous", "key").String() {
		t.Errorf("problem: %s", a.body)
	}
}

// A full disk refuses new commands, and tells a retry of an accepted one the truth.
func TestTheDiskIsFull(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first := h.post(jane, "Idempotency-Key", "accepted")
	if first.StatusCode != http.StatusAccepted {
		t.Fatalf("%d: %s", first.StatusCode, first.body)
	}
	h.full.Store(true)
	for _, headers := range [][]string{nil, {"Idempotency-Key", "new"}} {
		a := h.post(jane, headers...)
		if a.StatusCode != http.StatusServiceUnavailable || a.object(t)["type"] != "/problems/log-full" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%v: %d: %s", headers, a.StatusCode, a.body)
		}
	}
	if again := h.post(jane, "Idempotency-Key", "accepted"); again.StatusCode != http.StatusAccepted || !bytes.Equal(again.body, first.body) {
		t.Errorf("a retry: %d: %s, want %s", again.StatusCode, again.body, first.body)
	}
	h.full.Store(false)
	if a := h.post(jane, "Idempotency-Key", "new"); a.StatusCode != http.StatusAccepted {
		t.Errorf("with room again: %d: %s", a.StatusCode, a.body)
	}
}
