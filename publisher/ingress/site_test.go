package ingress_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestDocsPolicy checks that the pages allow neither inline scripts nor content from other servers.
func TestDocsPolicy(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, path := range []string{"/docs", "/docs/events"} {
		a := h.request(http.MethodGet, path, "")
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "http") {
			t.Errorf("%s: %s", path, policy)
		}
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(string(a.body), "<script>") {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
	plain := h.request(http.MethodGet, "/docs/redoc.standalone.js", "", "Accept-Encoding", "identity")
	if len(plain.body) < 2<<20 || plain.Header.Get("Content-Encoding") != "" {
		t.Errorf("%d bytes in %q", len(plain.body), plain.Header.Get("Content-Encoding"))
	}
}
