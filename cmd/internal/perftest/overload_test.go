//go:build bench

package perftest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// overload is a serve over TLS under attack, and one legitimate caller.
type overload struct {
	t       *testing.T
	address string
	token   string
	trusted *tls.Config

	mu       sync.Mutex
	outcomes map[string]int // of an attack, by kind and outcome

	idling atomic.Int64 // idle connections of attackers
}

// idleConnections is the default of --max-connections.
const idleConnections = 8192

// attackPause is the pause of an attacker between attacks.
const attackPause = 20 * time.Millisecond

// TestOverload prints the effect of as many idle connections as the API accepts, 1,000 slow ones, oversized bodies, cancelled streams, guessed keys and 3,000 requests that wait
// without a database on a legitimate caller and on memory. It has no limit for speed. It fails if the caller is refused, or if an attack is accepted.
func TestOverload(t *testing.T) {
	seconds, err := strconv.ParseFloat(cmp.Or(os.Getenv("BENCH_SECONDS"), "6"), 64)
	if err != nil || seconds <= 0 {
		t.Fatal("BENCH_SECONDS must be the length of a measurement in seconds")
	}
	length := time.Duration(seconds * float64(time.Second))
	ca, keys := testcluster.NewAuthority(t), filepath.Join(t.TempDir(), "keys")
	certificate, key := ca.Issue("api")
	s := &overload{t: t, token: testcluster.NewKey(t, keys, "pipeline", "clients:write"), outcomes: map[string]int{}}
	secure := []string{"--keys-file", keys, "--tls-cert", certificate, "--tls-key", key, "--max-connections-per-address=0"} // the attackers share one
	serve := testcluster.Clientele(t, "serve", append(secure, "--data-dir", t.TempDir())...)
	serve.Ready()
	s.address = strings.TrimPrefix(serve.API(), "http://")
	s.trusted = ca.Client().Transport.(*http.Transport).TLSClientConfig
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\nattackers\tcaller's p50, ms\tp99, ms\t× quiet\tresident memory, MB\t\n")
	var quiet *hdrhistogram.Histogram
	line := func(name string, pid int, h *hdrhistogram.Histogram) {
		at := func(h *hdrhistogram.Histogram, p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1000 }
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t%d\t\n", name, at(h, 50), at(h, 99), at(h, 99)/at(quiet, 99), residentMB(t, pid))
	}
	quiet = s.caller(length)
	line("none", serve.PID(), quiet)
	many, lift := s.attack()
	many(idleConnections+1, s.idle) // so that they are always at the limit
	publishertest.Eventually(t, "the idle connections are open", func() bool { return s.idling.Load() > idleConnections*99/100 })
	line("8,192 idle connections", serve.PID(), s.caller(length))
	lift()
	many, lift = s.attack()
	many(500, s.slowHeader)
	many(500, s.slowBody)
	line("1,000 slow connections", serve.PID(), s.caller(length))
	many(4, s.oversized)
	line("and oversized bodies", serve.PID(), s.caller(length))
	many(2, s.cancelled)
	many(2, s.guess)
	line("and cancelled streams, guessed keys", serve.PID(), s.caller(length))
	lift()
	serve.Kill() // connections of attackers may delay a stop until --shutdown-timeout
	s.waiters(line, length, secure...)
	_ = table.Flush()
	for outcome, n := range s.outcomes {
		fmt.Fprintf(os.Stdout, "%9d  %s\n", n, outcome)
		if strings.Contains(outcome, "202") {
			t.Errorf("%s: %d times", outcome, n)
		}
	}
}

// waitingRequests is more than the default of --max-waiting.
const waitingRequests = 3000

// waiters measures a serve whose database is unavailable, while many requests wait for an outcome.
func (s *overload) waiters(line func(string, int, *hdrhistogram.Histogram), length time.Duration, flags ...string) {
	s.t.Helper()
	database := storetest.StartPostgres(s.t)
	serve := testcluster.Clientele(s.t, "serve", append(flags, "--data-dir", s.t.TempDir(), "--database-url", database.URL())...)
	serve.Ready()
	s.address = strings.TrimPrefix(serve.API(), "http://")
	database.Stop(s.t, true)
	line("none, without a database", serve.PID(), s.caller(length))
	before := residentMB(s.t, serve.PID())
	many, lift := s.attack()
	waiting := func() float64 { return testcluster.Metric(s.t, serve.Admin(), "clientele_http_waiting_requests") }
	const few = 1000 // fewer than the default
	many(few, s.wait)
	publishertest.Eventually(s.t, "all wait", func() bool { return waiting() == few })
	fmt.Fprintf(os.Stdout, "a request that waits over TLS has %d KB\n", (residentMB(s.t, serve.PID())-before)*1000/few)
	many(waitingRequests-few, s.wait)
	publishertest.Eventually(s.t, "requests are declined a wait", func() bool {
		return testcluster.Metric(s.t, serve.Admin(), "clientele_http_waits_declined_total") > 0
	})
	line("3,000 requests that wait, without a database", serve.PID(), s.caller(length))
	fmt.Fprintf(os.Stdout, "%.0f of %d requests wait\n", waiting(), waitingRequests)
	lift()
	serve.Kill()
}

// wait posts a client on a new connection and prefers to wait. After an answer without a wait it pauses for longer than other attackers,
// because what it measures is waiting, not posting.
func (s *overload) wait(ctx context.Context) {
	conn, err := (&tls.Dialer{Config: s.trusted}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	began := time.Now()
	if _, err := fmt.Fprintf(conn, "POST /api/v2/clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer %s\r\nPrefer: wait=30\r\nContent-Length: %d\r\n\r\n%s", s.token, len(testcluster.Jane), testcluster.Jane); err != nil {
		return
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil || time.Since(began) > 20*time.Second {
		return
	}
	s.note("request that prefers to wait", "answered at once")
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
	}
}

// attack returns a function that starts n attackers, and one that ends all of them.
func (s *overload) attack() (many func(n int, attack func(context.Context)), lift func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var attackers sync.WaitGroup
	many = func(n int, attack func(context.Context)) {
		for range n {
			attackers.Go(func() {
				for ctx.Err() == nil {
					attack(ctx)
					select { // an attacker shares the processors: measure its cost for the service, not for itself
					case <-ctx.Done():
					case <-time.After(attackPause):
					}
				}
			})
		}
	}
	return many, func() { cancel(); attackers.Wait() }
}

func (s *overload) note(kind string, outcome any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[fmt.Sprintf("%s: %v", kind, outcome)]++
}

// client returns an HTTP client with its own connections.
func (s *overload) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: s.trusted.Clone(), ForceAttemptHTTP2: true}, Timeout: 20 * time.Second}
}

func (s *overload) post(ctx context.Context, client *http.Client, token string, body io.Reader) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.address+"/api/v2/clients", body)
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.Status, nil
}

// caller posts one client after the other for this time, and returns the latencies in microseconds.
func (s *overload) caller(length time.Duration) *hdrhistogram.Histogram {
	s.t.Helper()
	h, client := hdrhistogram.New(1, time.Hour.Microseconds(), 3), s.client()
	for began := time.Now(); time.Since(began) < length; {
		asked := time.Now()
		status, err := s.post(s.t.Context(), client, s.token, strings.NewReader(testcluster.Jane))
		if err != nil || status != "202 Accepted" {
			s.t.Errorf("the caller got %s %v", status, err)
			return h
		}
		_ = h.RecordValue(time.Since(asked).Microseconds())
	}
	return h
}

// drip writes a request to a new connection, the last part at a byte every tenth of a second, until the server closes it.
func (s *overload) drip(ctx context.Context, kind, atOnce string) {
	conn, err := tls.Dial("tcp", s.address, s.trusted)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	began := time.Now()
	if _, err := io.WriteString(conn, atOnce); err != nil {
		return
	}
	for ctx.Err() == nil {
		if _, err := io.WriteString(conn, " "); err != nil {
			s.note(kind, "closed after "+time.Since(began).Truncate(5*time.Second).String()+" and more")
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// idle sends one request on a new connection, and keeps it until the server closes it.
func (s *overload) idle(ctx context.Context) {
	conn, err := (&tls.Dialer{Config: s.trusted}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return
	}
	s.idling.Add(1)
	defer s.idling.Add(-1)
	if _, _ = io.Copy(io.Discard, conn); ctx.Err() == nil {
		s.note("idle connection", "closed")
	}
}

func (s *overload) slowHeader(ctx context.Context) {
	s.drip(ctx, "slow header", "POST /api/v2/clients HTTP/1.1\r\nX: ")
}

func (s *overload) slowBody(ctx context.Context) {
	s.drip(ctx, "slow body, with a key", "POST /api/v2/clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer "+
		s.token+"\r\nContent-Length: 60000\r\n\r\n")
}

// oversized sends bodies of 1 MiB, with and without Content-Length.
func (s *overload) oversized(ctx context.Context) {
	client := s.client()
	defer client.CloseIdleConnections()
	large := strings.Repeat("x", 1<<20)
	status, err := s.post(ctx, client, s.token, strings.NewReader(large))
	s.note("oversized body", cmp.Or(status, brief(err)))
	status, err = s.post(ctx, client, s.token, io.MultiReader(strings.NewReader(large)))
	s.note("oversized body without a length", cmp.Or(status, brief(err)))
}

// cancelled opens 100 streams on one connection, and cancels each at once (CVE-2023-44487).
func (s *overload) cancelled(ctx context.Context) {
	client := s.client()
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_, _ = s.post(ctx, client, "guess", strings.NewReader(testcluster.Jane))
		})
	}
	wg.Wait()
	s.note("100 streams, each cancelled after a millisecond", "done")
}

func (s *overload) guess(ctx context.Context) {
	client := s.client()
	defer client.CloseIdleConnections()
	for range 10 {
		status, err := s.post(ctx, client, s.token[:len(s.token)-1]+"!", strings.NewReader(testcluster.Jane))
		s.note("guessed key", cmp.Or(status, brief(err)))
	}
}

// brief returns the error without addresses.
func brief(err error) string {
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[net.Error](err); ok || strings.Contains(err.Error(), "context canceled") {
		return "connection ended"
	}
	return err.Error()
}
