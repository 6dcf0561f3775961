package ingress_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// byName authenticates each token as a caller of that name, with all scopes, or only clients:read for reader.
type byName struct{}

func (byName) Authenticate(_ context.Context, token string) (auth.Caller, error) {
	switch token {
	case "", "forged":
		return auth.Caller{}, auth.ErrInvalidToken
	case "issuer is down":
		return auth.Caller{}, errors.New("unavailable")
	case "reader":
		return auth.Caller{Name: token, Scopes: []auth.Scope{auth.ScopeRead}}, nil
	}
	return auth.Caller{Name: token, Scopes: []auth.Scope{auth.ScopeRead, auth.ScopeWrite}}, nil
}

// slowLog accepts a command after the test sends on accept, or at once if entered is nil.
type slowLog struct {
	ingress.Log
	entered, accept chan struct{}
}

func (l slowLog) Append(_ context.Context, c domain.CreateClient) (time.Time, error) {
	if l.entered != nil {
		l.entered <- struct{}{}
		<-l.accept
	}
	return c.AcceptedAt, nil
}

func (slowLog) KeyedID(caller, key string) uuid.UUID { return domain.KeyedID("", caller, key) }

func serve(handler http.Handler, headers ...string) answer {
	return send(handler, http.MethodPost, "/api/v2/clients", headers...)
}

func send(handler http.Handler, method, path string, headers ...string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(jane))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return answer{w.Result(), w.Body.Bytes()}
}

func TestAuthorization(t *testing.T) {
	handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: byName{}, Logger: zerolog.Nop()})
	for _, ok := range [][]string{{"Bearer a"}, {"bearer a"}, {"BEARER   a"}} {
		if a := serve(handler, "Authorization", ok[0]); a.StatusCode != http.StatusAccepted {
			t.Errorf("%q: %s", ok, a.body)
		}
	}
	if p := serve(handler).problem(t, http.StatusUnauthorized, "unauthorized"); p["title"] != "Authentication required" {
		t.Errorf("title: %s", p["title"])
	}
	for _, bad := range []string{"a", "Basic a", "Bearer", "Bearer ", "Bearer " + strings.Repeat("a", 9000)} {
		a := serve(handler, "Authorization", bad)
		a.problem(t, http.StatusUnauthorized, "unauthorized")
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), `Bearer realm="clientele"`) {
			t.Errorf("%q: %v", bad, a.Header)
		}
	}
	serve(handler, "Authorization", "Bearer a", "Authorization", "Bearer b").problem(t, http.StatusUnauthorized, "unauthorized")
	serve(handler, "Authorization", "Bearer issuer is down").problem(t, http.StatusServiceUnavailable, "unavailable")
}

// TestRefusalsAreSampled checks that a flood of refused requests causes one log line per second and reason, and that none is uncounted.
func TestRefusalsAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		registry := prometheus.NewRegistry()
		handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: byName{}, Logger: zerolog.New(&logged), Metrics: registry})
		refuse := func() {
			for range 100 {
				serve(handler).problem(t, http.StatusUnauthorized, "unauthorized")
				serve(handler, "Authorization", "Bearer forged").problem(t, http.StatusUnauthorized, "unauthorized")
				serve(handler, "Authorization", "Bearer reader").problem(t, http.StatusForbidden, "forbidden")
				serve(handler, "Authorization", "Bearer issuer is down").problem(t, http.StatusServiceUnavailable, "unavailable")
			}
		}
		refuse()
		<-time.After(time.Second) // of the bubble's clock
		refuse()
		for reason, cause := range map[string]string{
			"no_token": "", "invalid_token": "", "insufficient_scope": "", "unavailable": `"error":"unavailable",`,
		} {
			for _, count := range []string{"1", "100"} {
				line := `{"level":"warn",` + cause + `"reason":"` + reason + `","count":` + count + `,"message":"refused requests"}` + "\n"
				if n := strings.Count(logged.String(), line); n != 1 {
					t.Errorf("%d times %s", n, line)
				}
			}
		}
		if n := strings.Count(logged.String(), "\n"); n != 8 {
			t.Errorf("%d lines: %s", n, &logged)
		}
		for reason, n := range refusalsOf(t, registry) {
			if reason == "rate_limited" || reason == "cross_origin" {
				continue // other tests cause these
			}
			if n != 200 {
				t.Errorf("%v refusals of reason %s, want 200", n, reason)
			}
		}
	})
}

// refusalsOf returns the metric of refused requests by its six reasons.
func refusalsOf(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "clientele_http_refusals_total" {
			for _, m := range family.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if len(counts) != 6 {
		t.Fatalf("reasons: %v", counts)
	}
	return counts
}

// FuzzAuthorization checks that a service without keys answers any header with 401, and that the response does not contain it.
func FuzzAuthorization(f *testing.F) {
	f.Add("Bearer token")
	f.Add("bearer  \x00")
	f.Add("Basic dTpw")
	handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: auth.Chain{}, Logger: zerolog.Nop()})
	f.Fuzz(func(t *testing.T, value string) {
		a := serve(handler, "Authorization", value)
		a.problem(t, http.StatusUnauthorized, "unauthorized")
		if len(value) > 12 && (strings.Contains(string(a.body), value) || strings.Contains(a.Header.Get("WWW-Authenticate"), value)) {
			t.Errorf("%q is in the response", value)
		}
	})
}

// FuzzIdempotencyKey checks that a key is either refused or accepted, and that an accepted key always has the same id.
func FuzzIdempotencyKey(f *testing.F) {
	f.Add("a")
	f.Add(`"a\"b"`)
	f.Add(`"`)
	f.Add(strings.Repeat("x", 256))
	handler := ingress.NewHandler(slowLog{}, unavailableClients{}, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	f.Fuzz(func(t *testing.T, key string) {
		first, second := serve(handler, "Idempotency-Key", key), serve(handler, "Idempotency-Key", key)
		switch first.StatusCode {
		case http.StatusAccepted:
			if first.object(t)["id"] != second.object(t)["id"] {
				t.Errorf("%q has two ids", key)
			}
		default:
			first.problem(t, http.StatusBadRequest, "invalid-idempotency-key")
		}
	})
}

type unavailableClients struct{ ingress.Clients }

func (unavailableClients) Get(context.Context, uuid.UUID) (domain.Client, error) {
	return domain.Client{}, errors.New("unavailable")
}

func (unavailableClients) GetAll(context.Context, []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	return nil, errors.New("unavailable")
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: byName{}, RatePerCaller: 3, Logger: zerolog.Nop()})
		for left := range 3 {
			a := serve(handler, "Authorization", "Bearer a")
			if want := `"caller";r=` + strconv.Itoa(2-left) + `;t=1`; a.StatusCode != http.StatusAccepted || a.Header.Get("Ratelimit") != want ||
				a.Header.Get("Ratelimit-Policy") != `"caller";q=3;w=1` {
				t.Errorf("%s %v, want %s", a.Status, a.Header, want)
			}
		}
		a := serve(handler, "Authorization", "Bearer a")
		a.problem(t, http.StatusTooManyRequests, "too-many-requests")
		if a.Header.Get("Retry-After") != "1" {
			t.Errorf("%v", a.Header)
		}
		if a := serve(handler, "Authorization", "Bearer b"); a.StatusCode != http.StatusAccepted {
			t.Errorf("another caller: %s", a.Status)
		}
		<-time.After(time.Second) // of the bubble's clock
		if a := serve(handler, "Authorization", "Bearer a"); a.StatusCode != http.StatusAccepted {
			t.Errorf("a second later: %s", a.Status)
		}
	})
}

func TestTooManyAtOnce(t *testing.T) {
	log := slowLog{entered: make(chan struct{}), accept: make(chan struct{})}
	handler := ingress.NewHandler(log, nil, ingress.Config{Authenticator: auth.AllowAll{}, MaxRequests: 1, Logger: zerolog.Nop()})
	first := make(chan answer)
	go func() { first <- serve(handler) }()
	<-log.entered
	serve(handler).problem(t, http.StatusServiceUnavailable, "busy")
	close(log.accept)
	if a := <-first; a.StatusCode != http.StatusAccepted {
		t.Errorf("%s", a.Status)
	}
}
