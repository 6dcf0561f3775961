package systemtest

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"
)

// On SIGTERM under load, readiness ends, requests in flight are answered and batches are finished. After the restart, every accepted
// client exists.
func TestDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	api := serve.API()
	serve.Ready()
	var mu sync.Mutex
	var operations []string
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				r, err := tryPost(api, testcluster.Jane)
				if err != nil {
					return // the connection is closed, or was about to be
				}
				if r.Status != http.StatusAccepted {
					t.Errorf("%d: %s", r.Status, r.Body)
					return
				}
				mu.Lock()
				operations = append(operations, r.Header.Get("Location"))
				mu.Unlock()
			}
		})
	}
	publishertest.Eventually(t, "some load", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(operations) > 200
	})
	// Half of a request has arrived.
	slow, err := net.Dial("tcp", strings.TrimPrefix(api, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprintf(slow, "POST /api/v2/clients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(testcluster.Jane), testcluster.Jane[:10])
	// A later request on the same listener is answered, so the first is in flight.
	testcluster.Accepted(t, api, testcluster.Jane, "")
	serve.Signal(syscall.SIGTERM)
	serve.Says("stopping; a second signal ends the process immediately")
	publishertest.Eventually(t, "the listener is closed", func() bool {
		_, err := tryPost(api, testcluster.Jane)
		return err != nil
	})
	fmt.Fprint(slow, testcluster.Jane[10:])
	answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("the request in flight: %+v (%v)", answer, err)
	}
	defer answer.Body.Close()
	wg.Wait()
	operations = append(operations, answer.Header.Get("Location"))
	if status := serve.Wait(); status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	if output := serve.Output(); strings.Contains(output, "stay on the log") || strings.Contains(output, "longer than") {
		t.Errorf("batches were given up: %s", output)
	}
	serve.Says(`"message":"stopped"`)
	again := testcluster.Clientele(t, "serve", "--data-dir", dir)
	for _, operation := range operations {
		testcluster.Succeeded(t, again.API(), operation)
	}
	again.Stop()
}

// A worker that cannot finish its batch ends after --shutdown-timeout. A second signal ends it at once.
func TestStoppingHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, timeout string
		again         bool
		status        int
	}{
		{"the time is over", "1s", false, cli.ExitError},
		{"a second signal", "1h", true, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			postgres := storetest.StartPostgres(t)
			s := testcluster.NewOn(t, postgres.URL())
			ingress := s.Clientele("ingress")
			worker := testcluster.Clientele(t, "worker", append(s.Flags, "--shutdown-timeout="+c.timeout)...)
			worker.Ready()
			// The database hangs: a statement of the worker is under way until its own timeout.
			postgres.Pause(t)
			operation := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
			publishertest.Eventually(t, "the command is delivered", func() bool { return s.Consumer().NumAckPending == 1 })
			worker.Signal(syscall.SIGTERM)
			worker.Says("stopping; a second signal ends the process immediately")
			if c.again {
				worker.Signal(syscall.SIGTERM)
			}
			if status := worker.Wait(); status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			if !c.again && !strings.Contains(worker.Output(), "clientele: stopping worker took longer than 1s: unfinished work resumes in another "+
				"process or after a restart; to allow more time, raise --shutdown-timeout") {
				t.Error(worker.Output())
			}
			postgres.Resume()
			s.Clientele("worker")
			testcluster.Succeeded(t, ingress.API(), operation)
		})
	}
}

func tryPost(api, body string) (testcluster.Reply, error) {
	r, err := http.NewRequest(http.MethodPost, api+"/api/v2/clients", strings.NewReader(body))
	if err != nil {
		return testcluster.Reply{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	return testcluster.RoundTrip(r)
}
