package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"clientele/publisher/publishertest"
	"clientele/store/storetest"
)

// SIGTERM under load: readiness goes, requests in flight are answered, batches in hand are finished, and what was accepted
// is there after the restart.
func TestDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := clientele(t, "serve", "--data-dir", dir)
	api := serve.api()
	serve.ready()
	var mu sync.Mutex
	var operations []string
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				r, err := tryPost(api, jane)
				if err != nil {
					return // too late: the connection was being closed, or is
				}
				if r.status != http.StatusAccepted {
					t.Errorf("%d: %s", r.status, r.body)
					return
				}
				mu.Lock()
				operations = append(operations, r.header.Get("Location"))
				mu.Unlock()
			}
		})
	}
	publishertest.Eventually(t, "some load", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(operations) > 200
	})
	// A request of which half has arrived.
	slow, err := net.Dial("tcp", strings.TrimPrefix(api, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprintf(slow, "POST /api/v2/clients HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(jane), jane[:10])
	// What comes after it on the same listener has been served, so it is in flight.
	accepted(t, api, jane, "")
	serve.signal(syscall.SIGTERM)
	serve.says("stopping; a second signal ends at once")
	publishertest.Eventually(t, "nobody listens", func() bool {
		_, err := tryPost(api, jane)
		return err != nil
	})
	fmt.Fprint(slow, jane[10:])
	answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("the request in flight: %+v (%v)", answer, err)
	}
	defer answer.Body.Close()
	wg.Wait()
	operations = append(operations, answer.Header.Get("Location"))
	if status := serve.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	if output := serve.output(); strings.Contains(output, "stay on the log") || strings.Contains(output, "longer than") {
		t.Errorf("batches were given up: %s", output)
	}
	again := clientele(t, "serve", "--data-dir", dir)
	for _, operation := range operations {
		succeeded(t, again.api(), operation)
	}
	again.stop()
}

// A worker that cannot finish what it has in hand ends when its time is over, and a second signal ends it at once.
func TestStoppingHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, timeout string
		again         bool
		status        int
	}{
		{"the time is over", "1s", false, exitError},
		{"a second signal", "1h", true, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			postgres := storetest.StartPostgres(t)
			s := newSiteOn(t, postgres.URL())
			ingress := s.clientele("ingress")
			worker := clientele(t, "worker", append(s.flags, "--shutdown-timeout="+c.timeout)...)
			worker.ready()
			// A database that hangs: the worker has a statement under way until its own timeout.
			postgres.Pause(t)
			operation := accepted(t, ingress.api(), jane, "")
			publishertest.Eventually(t, "the command is in hand", func() bool { return s.consumer().NumAckPending == 1 })
			worker.signal(syscall.SIGTERM)
			worker.says("stopping; a second signal ends at once")
			if c.again {
				worker.signal(syscall.SIGTERM)
			}
			if status := worker.wait(); status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			if !c.again && !strings.Contains(worker.output(), "clientele: stopping worker took longer than --shutdown-timeout") {
				t.Error(worker.output())
			}
			postgres.Resume()
			s.clientele("worker")
			succeeded(t, ingress.api(), operation)
		})
	}
}

func tryPost(api, body string) (reply, error) {
	r, err := http.NewRequest(http.MethodPost, api+"/api/v2/clients", strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	return roundTrip(r)
}
