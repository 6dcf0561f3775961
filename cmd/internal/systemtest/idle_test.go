package systemtest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// The requests that an attacker sends on each connection.
const (
	nothing  = ""
	complete = "GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n"
	bodiless = "POST /api/v2/clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n"
)

// hold opens n connections, sends the request on each, and waits for its response, or until the server reads its body.
func hold(t *testing.T, api, request string, n int) (held []net.Conn) {
	t.Helper()
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(api, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if request == bodiless {
			if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
				t.Fatal(err)
			}
		}
		if request == complete {
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				t.Fatal(err)
			}
		}
		held = append(held, conn)
	}
	return held
}

// isOpen reports whether the server has not closed the connection.
func isOpen(t *testing.T, conn net.Conn) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// post creates a client on a new connection, without a retry.
func post(t *testing.T, api string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testcluster.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/api/v2/clients", strings.NewReader(testcluster.Jane))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return errors.New(response.Status)
	}
	return nil
}

// An attacker holds all connections, or all those of an address. A new caller replaces the connection that has waited longest.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	const most, callers = 200, 5
	for _, limit := range []string{"--max-connections", "--max-connections-per-address"} {
		for name, request := range map[string]string{"idle": complete, "without a request": nothing} {
			t.Run(limit+" "+name, func(t *testing.T) {
				t.Parallel()
				// The server closes connections that send nothing for 5 s.
				publishertest.Eventually(t, "an attempt in time", func() bool {
					serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), limit+"=200")
					defer serve.Kill()
					serve.Ready()
					opened := time.Now()
					held := hold(t, serve.API(), request, most)
					for range callers {
						if err := post(t, serve.API()); err != nil {
							t.Fatal(err)
						}
					}
					shed := testcluster.Metric(t, serve.Admin(), `clientele_http_connections_shed_total{listener="API"}`)
					var closed []int
					testcluster.Within(testcluster.Patience, func() bool {
						closed = nil
						for i, conn := range held {
							if !isOpen(t, conn) {
								closed = append(closed, i)
							}
						}
						return len(closed) >= int(shed)
					})
					if took := time.Since(opened); request == nothing && took > 4*time.Second {
						t.Logf("tries again after %s", took)
						return false
					}
					if shed < 1 || shed > callers || len(closed) != int(shed) {
						t.Fatalf("%d connections are closed and %v are counted, for %d callers", len(closed), shed, callers)
					}
					// The server notices that a connection is idle shortly after its response, so the order of neighbours is open.
					if last := closed[len(closed)-1]; last >= most/2 {
						t.Errorf("connection %d of %d is closed, and has not waited longest", last, most)
					}
					return true
				})
			})
		}
	}
}

// Connections with a request in progress are not closed for others.
func TestConnectionsInUseStay(t *testing.T) {
	t.Parallel()
	const most = 10
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--max-connections-per-address=10")
	serve.Ready()
	held := hold(t, serve.API(), bodiless, most)
	if err := post(t, serve.API()); err == nil {
		t.Error("a further connection of the address is served")
	}
	for i, conn := range held {
		if _, err := io.WriteString(conn, `{"a": 1}`); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(testcluster.Patience)); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if _ = response.Body.Close(); response.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("connection %d: %s", i, response.Status)
		}
	}
	if err := post(t, serve.API()); err != nil {
		t.Errorf("the connections are idle, and a caller is refused: %v", err)
	}
	serve.Stop()
}

// Connections that send nothing end: after 5 s without a first request, after 30 s between requests.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	serve.Ready()
	held := append(hold(t, serve.API(), nothing, 1), hold(t, serve.API(), complete, 1)...)
	publishertest.Eventually(t, "both are closed", func() bool { return !isOpen(t, held[0]) && !isOpen(t, held[1]) })
	serve.Stop()
}
