package systemtest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// redirecting returns the URL of a server that redirects every request to another one, the host of that one, and how many requests
// have reached it.
func redirecting(t *testing.T) (from, host string, reached *atomic.Int64) {
	t.Helper()
	reached = new(atomic.Int64)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/hidden?key=hidden", http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	return server.URL, strings.TrimPrefix(elsewhere.URL, "http://"), reached
}

// Tokens and clients reach only the URL of the command line.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	from, host, reached := redirecting(t)
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	natsURL := serve.NATSURL()
	file := filepath.Join(t.TempDir(), "clients.ndjson")
	if err := os.WriteFile(file, []byte(testcluster.Jane), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"import", file, "--url", from, "--token=secret"},
		{"bench", "--count=10", "--url", from, "--token=secret", "--nats-url", natsURL},
	} {
		status, stdout, stderr := testcluster.RunLine(t, command...)
		if status != cli.ExitError || !strings.Contains(stderr, "the API answers 307 and redirects to "+host) ||
			!strings.Contains(stderr, "name it in --url") || strings.Contains(stdout+stderr, "hidden") {
			t.Errorf("%v: %d %s%s", command, status, stdout, stderr)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests were sent on", n)
	}
}

// Events reach only the URL of the webhook. The log has its host only: many receivers authenticate by a secret in the path.
func TestWebhooksKeepTheURLSecret(t *testing.T) {
	t.Parallel()
	from, _, reached := redirecting(t)
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	natsURL := serve.NATSURL()
	closed := "http://" + testcluster.FreeAddress(t)
	for name, url := range map[string]string{"redirected": from, "refused": closed, "insecure": "http://receiver.invalid"} {
		testcluster.Webhooks(t, natsURL, "add", name, url+"/hidden?key=hidden", "--insecure-http")
	}
	testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	serve.Says("the receiver responded with 307")
	serve.Says("post to " + strings.TrimPrefix(closed, "http://") + ": dial tcp")
	serve.Says("post to receiver.invalid: ")
	publishertest.Eventually(t, "failures are recorded", func() bool {
		return strings.Contains(testcluster.Webhooks(t, natsURL, "deliveries", "redirected", "--failed"), " 307 ")
	})
	_, status, _ := testcluster.RunLine(t, "status", "--json", "--nats-url", natsURL, "--data-dir", dataDirOf(serve))
	shown := status + testcluster.Webhooks(t, natsURL, "ls") + testcluster.Webhooks(t, natsURL, "deliveries", "redirected")
	if serve.Stop(); strings.Contains(serve.Output()+shown, "hidden") {
		t.Errorf("the path is shown: %s%s", serve.Output(), shown)
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d events were sent on", n)
	}
}
