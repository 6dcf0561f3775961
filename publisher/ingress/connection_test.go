package ingress_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/rs/zerolog"
)

func TestStrictTransportSecurity(t *testing.T) {
	t.Parallel()
	handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	for _, path := range []string{"/docs", "/api/v2/clients", "/nothing"} {
		for want, over := range map[string]*tls.ConnectionState{"": nil, "max-age=31536000": {}} {
			r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			r.TLS = over
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if got := w.Header().Get("Strict-Transport-Security"); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
	}
}

// TestRequestSmuggling sends a request with both lengths and a second request behind its end. A proxy that goes by Content-Length
// passes both on as one, so the second must have no response.
func TestRequestSmuggling(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()}))
	t.Cleanup(api.Close)
	const (
		head   = "POST /api/v2/clients HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		second = "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	)
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(jane), jane)
	for _, c := range []struct {
		name, request string
		responses     int
	}{
		{"both lengths", head + fmt.Sprintf("Content-Length: %d\r\n", len(chunked+second)) + "Transfer-Encoding: chunked\r\n\r\n" + chunked + second, 1},
		{"a length of 0", head + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + second, 1},
		{"two requests", head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(jane)) + jane + second, 2},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(api.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.request); err != nil {
			t.Fatal(err)
		}
		answered, err := io.ReadAll(conn) // until the server closes the connection
		if n := bytes.Count(answered, []byte("HTTP/1.1 ")); err != nil || n != c.responses {
			t.Errorf("%s: %d responses, want %d (%v):\n%.300s", c.name, n, c.responses, err, answered)
		}
		_ = conn.Close()
	}
}
