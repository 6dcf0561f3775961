package ingress_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/rs/zerolog"
)

// appendedLog accepts and counts commands.
type appendedLog struct {
	slowLog

	n atomic.Int64
}

func (l *appendedLog) Append(ctx context.Context, c domain.CreateClient) (time.Time, error) {
	l.n.Add(1)
	return l.slowLog.Append(ctx, c)
}

// A page of another site cannot use the API through a browser, neither under its own name nor across origins.
func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	log := &appendedLog{}
	handler := byContract(t, ingress.NewHandler(log, nil, ingress.Config{
		Authenticator: auth.AllowAll{}, Logger: zerolog.Nop(),
		AllowHost: func(host string) bool { return host == "localhost" },
	}))
	send := func(method, path, host string, headers ...string) answer {
		r := httptest.NewRequest(method, path, strings.NewReader(jane))
		r.Host = host
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return answer{w.Result(), w.Body.Bytes()}
	}
	for _, path := range []string{
		"/api/v2/clients/x", "/api/v2/operations/x", "/problems/invalid", "/openapi.yaml", "/asyncapi.yaml", "/docs", "/problems/", "/",
	} {
		send(http.MethodGet, path, "attacker.example").problem(t, http.StatusMisdirectedRequest, "misdirected-request")
	}
	const create = "/api/v2/clients"
	send(http.MethodPost, create, "attacker.example").problem(t, http.StatusMisdirectedRequest, "misdirected-request")
	send(http.MethodPost, create, "localhost", "Sec-Fetch-Site", "cross-site").problem(t, http.StatusForbidden, "cross-origin")
	send(http.MethodPost, create, "localhost", "Sec-Fetch-Site", "same-site").problem(t, http.StatusForbidden, "cross-origin")
	send(http.MethodPost, create, "localhost", "Origin", "https://attacker.example").problem(t, http.StatusForbidden, "cross-origin")
	if n := log.n.Load(); n != 0 {
		t.Errorf("%d clients of refused requests", n)
	}
	for _, same := range [][]string{nil, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Origin", "http://localhost"}} {
		if a := send(http.MethodPost, create, "localhost", same...); a.StatusCode != http.StatusAccepted {
			t.Errorf("%v: %d %s", same, a.StatusCode, a.body)
		}
	}
	if a := send(http.MethodGet, "/openapi.yaml", "localhost", "Sec-Fetch-Site", "cross-site"); a.StatusCode != http.StatusOK {
		t.Errorf("a link from another site: %d %s", a.StatusCode, a.body)
	}
}
