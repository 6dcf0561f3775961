package systemtest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// batchLine returns a line of a batch with a client and a key of its own.
func batchLine(i int) string {
	return fmt.Sprintf(`{"idempotencyKey": "line-%d", "client": %s}`+"\n", i, strings.Replace(testcluster.Jane, "Smith", fmt.Sprint("Smith ", i), 1))
}

// batchResults reads the results of a batch until it ends or breaks off, and tells read their number each time.
func batchResults(t *testing.T, body io.Reader, read func(n int)) (bodies []string) {
	t.Helper()
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // a part of a line is no result
			return bodies
		}
		var r struct {
			Status int            `json:"status"`
			Body   jsontext.Value `json:"body"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.Status != http.StatusAccepted {
			t.Fatalf("line %d: %d %s", len(bodies), r.Status, r.Body)
		}
		bodies = append(bodies, string(r.Body))
		read(len(bodies))
	}
}

// An ingress is killed in the middle of a batch. Each line that was accepted becomes one client, and a retry of the whole batch at another
// ingress receives the same operations.
func TestAnIngressIsKilledInABatch(t *testing.T) {
	t.Parallel()
	const n, killedAt = 1000, 300
	s := testcluster.New(t)
	first, second := s.Clientele("ingress"), s.Clientele("ingress")
	s.Clientele("worker")
	read, write := io.Pipe()
	go func() {
		for i := range n {
			if _, err := io.WriteString(write, batchLine(i)); err != nil {
				return
			}
		}
		_ = write.Close()
	}()
	response, err := http.Post(first.API()+"/api/v2/clients/batch", "application/x-ndjson", read)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	accepted := batchResults(t, response.Body, func(n int) {
		if n == killedAt {
			first.Kill()
		}
	})
	_ = read.Close()
	if len(accepted) < killedAt {
		t.Fatalf("%d results before the kill", len(accepted))
	}
	t.Logf("%d of %d results arrived", len(accepted), n)

	var body strings.Builder
	for i := range n {
		body.WriteString(batchLine(i))
	}
	again, err := http.Post(second.API()+"/api/v2/clients/batch", "application/x-ndjson", strings.NewReader(body.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Body.Close()
	retried := batchResults(t, again.Body, func(int) {})
	if len(retried) != n {
		t.Fatalf("%d results of the retry, want %d", len(retried), n)
	}
	var operations []string
	for i, result := range retried {
		retry := testcluster.Reply{Body: result}
		operations = append(operations, operationOf(t, retry))
		if i >= len(accepted) {
			continue
		}
		first := testcluster.Reply{Body: accepted[i]}
		if retry.Object(t)["id"] != first.Object(t)["id"] || retry.Object(t)["acceptedAt"] != first.Object(t)["acceptedAt"] {
			t.Errorf("line %d: the retry: %s, first: %s", i, retry.Body, first.Body)
		}
	}
	s.Settled(second.API(), operations)
}

// An import obeys the rate limit, which counts the rows of its batches.
func TestImportIsLimited(t *testing.T) {
	t.Parallel()
	const n, perSecond = 400, 100
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), fmt.Sprint("--rate-limit=", perSecond))
	path := filepath.Join(t.TempDir(), "clients.csv")
	csvFile(t, path, n, nil)
	began := time.Now()
	status, stdout, stderr := testcluster.RunLine(t, "import", path, "--url", serve.API(), "--map", "E-Mail=emailAddress", "--map", "note=")
	if status != cli.ExitOK || !strings.Contains(stdout, fmt.Sprintf("accepted %d, rejected 0", n)) {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	if took, least := time.Since(began), (n-perSecond)*time.Second/perSecond; took < least {
		t.Errorf("%d clients in %s, want at least %s", n, took, least)
	}
	publishertest.Eventually(t, "all clients", func() bool { return len(testcluster.Events(t, serve.NATSURL())) >= n })
	if got := len(testcluster.Events(t, serve.NATSURL())); got != n {
		t.Errorf("%d clients, want %d", got, n)
	}
	if refused := testcluster.Metric(t, serve.Admin(), `clientele_http_batch_lines_total{code="429"}`); refused < 1 {
		t.Errorf("%v lines were refused", refused)
	}
	serve.Stop()
}

// An API without batches is that of an older release, or has another URL.
func TestImportIntoAnOlderRelease(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clients.ndjson")
	if err := os.WriteFile(path, []byte(testcluster.Jane), 0o600); err != nil {
		t.Fatal(err)
	}
	older := http.NewServeMux()
	older.HandleFunc("GET /api/v2/clients/{id}", http.NotFound)
	api := httptest.NewServer(older)
	defer api.Close()
	status, _, stderr := testcluster.RunLine(t, "import", path, "--url", api.URL)
	if status != cli.ExitError || !strings.Contains(stderr, "upgrade it, or import with a clientele of its version") {
		t.Errorf("%d: %s", status, stderr)
	}
}

// An ingress is killed during an import, and started again. The import continues, and creates each client once.
func TestAnIngressIsKilledInAnImport(t *testing.T) {
	t.Parallel()
	const n = 5000
	s := testcluster.New(t)
	listen := "--listen=" + testcluster.FreeAddress(t)
	start := func(flags ...string) *testcluster.Process {
		p := testcluster.Clientele(t, "ingress", append(append(flags, listen), s.Flags...)...)
		p.Ready()
		return p
	}
	ingress := start("--rate-limit=1000") // the import takes 4 s
	s.Clientele("worker")
	path := filepath.Join(t.TempDir(), "clients.csv")
	csvFile(t, path, n, nil)
	p := testcluster.Start(t, testcluster.Program(t, "clientele"), "import", path, "--url", ingress.API(), "--map", "E-Mail=emailAddress", "--map", "note=")
	publishertest.Eventually(t, "the import is in progress", func() bool { return s.Consumer().NumPending+s.Consumer().Delivered.Stream >= n/10 })
	ingress.Kill()
	p.Says("trying again: ")
	if strings.Contains(p.Output(), "accepted") {
		t.Fatalf("the import ended before the kill: %s", p.Output())
	}
	start()
	if status := p.Wait(); status != cli.ExitOK || !strings.Contains(p.Output(), fmt.Sprintf("accepted %d, rejected 0", n)) {
		t.Fatalf("%d: %s", status, p.Output())
	}
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)
	if rows, events := s.Rows(), len(testcluster.Events(t, s.NATS.URL)); rows != n || events != n {
		t.Errorf("%d rows and events of %d clients, want %d", rows, events, n)
	}
}
