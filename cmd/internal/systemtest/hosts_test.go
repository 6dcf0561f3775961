package systemtest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
)

// as sends a request with another Host header, as a browser does after the name of a page has been made to resolve to this machine.
func as(t *testing.T, host, method, url, body string, headers ...string) testcluster.Reply {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := testcluster.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestDNSRebinding reads clients and metrics as a page would whose name resolves to this machine.
func TestDNSRebinding(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--allowed-host=clients.example.com", "--allowed-host=other.example")
	serve.Ready()
	api, admin := serve.API(), serve.Admin()
	operation := testcluster.Accepted(t, api, testcluster.Jane, "")
	testcluster.Succeeded(t, api, operation)
	for _, host := range []string{"attacker.example", "attacker.example:8080", "0.0.0.0", "192.0.2.1:8080"} {
		for _, path := range []string{"/api/v2/clients" + operation[strings.LastIndex(operation, "/"):], operation, "/docs", "/nothing"} {
			r := as(t, host, http.MethodGet, api+path, "")
			if r.Status != http.StatusMisdirectedRequest || r.Object(t)["type"] != "/problems/misdirected-request" || strings.Contains(r.Body, "Jane") {
				t.Errorf("%s%s: %d %s", host, path, r.Status, r.Body)
			}
		}
		if r := as(t, host, http.MethodPost, api+"/api/v2/clients", testcluster.Jane); r.Status != http.StatusMisdirectedRequest {
			t.Errorf("%s creates a client: %d %s", host, r.Status, r.Body)
		}
		for _, path := range []string{"/metrics", "/readyz", "/livez", "/debug/pprof/"} {
			r := as(t, host, http.MethodGet, admin+path, "")
			if r.Status != http.StatusMisdirectedRequest || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s%s: %d %s", host, path, r.Status, r.Body)
			}
		}
	}
	for _, host := range []string{"localhost", "127.0.0.1:1", "[::1]:1", "Clients.example.com", "other.example:443"} {
		if r := as(t, host, http.MethodPost, api+"/api/v2/clients", testcluster.Jane); r.Status != http.StatusAccepted {
			t.Errorf("%s: %d %s", host, r.Status, r.Body)
		}
		if r := as(t, host, http.MethodGet, admin+"/readyz", ""); r.Status != http.StatusOK {
			t.Errorf("%s: %d %s", host, r.Status, r.Body)
		}
	}
	r := as(t, "localhost", http.MethodPost, api+"/api/v2/clients", testcluster.Jane, "Sec-Fetch-Site", "cross-site")
	if r.Status != http.StatusForbidden || r.Object(t)["type"] != "/problems/cross-origin" {
		t.Errorf("across origins: %d %s", r.Status, r.Body)
	}
}

func TestProfilesAreOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		flags  []string
		status int
	}{{"by default", nil, http.StatusNotFound}, {"on request", []string{"--pprof"}, http.StatusOK}} {
		serve := testcluster.Clientele(t, "serve", append(c.flags, "--data-dir", t.TempDir())...)
		serve.Ready()
		for _, profile := range []string{"", "goroutine?debug=1", "heap", "cmdline", "symbol"} {
			status := c.status
			if profile == "cmdline" { // which has passwords
				status = http.StatusNotFound
			}
			if r := testcluster.Get(t, serve.Admin()+"/debug/pprof/"+profile); r.Status != status {
				t.Errorf("%s: %s: %d, want %d", c.name, profile, r.Status, status)
			}
		}
		serve.Kill()
	}
}

// The process logs the warning before it listens. Here it cannot: the address is reserved for documentation (RFC 5737).
func TestAdminListenerOnANetwork(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--admin-listen=192.0.2.1:0")
	if status := serve.Wait(); status != 1 || !strings.Contains(serve.Output(), `"message":"the admin endpoints have no authentication`) {
		t.Errorf("%d %s", status, serve.Output())
	}
}
