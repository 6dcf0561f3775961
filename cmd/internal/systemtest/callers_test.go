//go:build contracts || node

package systemtest

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// losesFirst returns the URL of a proxy of the API that breaks the connection instead of passing on the first response to a request that
// creates a client, when the API has accepted it. lost reports whether it has.
func losesFirst(t *testing.T, api string) (proxied string, lost func() bool) {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusAccepted && done.CompareAndSwap(false, true) {
				return errors.New("lost")
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL, done.Load
}

// generatedCaller runs a program with a generated client. The program receives the URL of a serve that requires authentication, and a
// token. It prints the id of each client that it created, one a line, and ends with 0 if every response was as it expected.
func generatedCaller(t *testing.T, dir string, program ...string) {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys")
	token := testcluster.NewKey(t, keys, "caller", "clients:write,clients:read")
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--keys-file", keys)
	api, lost := losesFirst(t, serve.API())
	caller := exec.CommandContext(t.Context(), program[0], program[1:]...)
	caller.Dir = dir
	caller.Env = append(os.Environ(), "API="+api, "TOKEN="+token)
	var stderr strings.Builder
	caller.Stderr = &stderr
	out, err := caller.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, stderr.String())
	}
	if !lost() {
		t.Error("no response was lost")
	}
	created := slices.Sorted(strings.FieldsSeq(string(out)))
	var ids []string
	publishertest.Eventually(t, "the events are published", func() bool {
		ids = slices.Sorted(maps.Keys(testcluster.Events(t, serve.NATSURL())))
		return len(ids) >= 4
	})
	if len(ids) != 4 || !slices.Equal(created, ids) {
		t.Errorf("the caller created %v, there are events of %v", created, ids)
	}
	serve.Stop()
}
