package importer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"clientele/cmd/internal/importer"
)

// While no row is accepted, an import reports what fails at once, and then about every 30 s.
func TestAnOutageIsReported(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	unavailable := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // no goroutine of a connection outlives the bubble
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"title": "Unavailable", "detail": "the log is full"}`)
	}))
	t.Cleanup(unavailable.Close)
	for url, want := range map[string]string{
		"http://" + closed.Addr().String(): "connection refused: check --url",
		unavailable.URL:                    "responded with 503: Unavailable: the log is full: check --url",
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			var progress bytes.Buffer
			_, err := importer.Run(ctx, importer.Config{
				Path: "-", Stdin: strings.NewReader(`{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com"}`),
				Format: "ndjson", URL: url, Connections: 1, Progress: &progress, OutageAdvice: "check --url",
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			lines := strings.Split(strings.TrimSpace(progress.String()), "\n")
			if n := len(lines); n < 5 || n > 10 || !strings.HasPrefix(lines[0], "trying again: ") || !regexp.MustCompile(`^trying again for (4m|5m0s)`).MatchString(lines[n-1]) {
				t.Errorf("not a line every 30 s with the elapsed time: %s", progress.String())
			}
			for _, line := range lines {
				if !strings.Contains(line, want) {
					t.Errorf("%s: not in %s", want, line)
				}
			}
		})
	}
}
