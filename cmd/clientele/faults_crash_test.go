//go:build faults

package main

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/publisher/publishertest"
)

// A worker that dies between the commit and the event, or between the event and the ack, leaves nothing undone and makes
// no second row.
func TestCrash(t *testing.T) {
	t.Parallel()
	program := build(t, "clientele-faults")
	for _, point := range []string{"after-commit", "after-event", "before-ack"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.ackWait(2 * time.Second)
			ingress := s.clientele("ingress")
			var operations []string
			for i := range 40 {
				body := strings.Replace(jane, "Smith", fmt.Sprint("Smith ", i), 1)
				operations = append(operations, accepted(t, ingress.api(), body, fmt.Sprint("key ", i)))
			}
			dying := startWith(t, []string{"CLIENTELE_FAULTS_KILL_AT=" + point + ":1"}, program,
				append([]string{"worker", "--admin-listen=127.0.0.1:0"}, s.flags...)...)
			if status := dying.wait(); status != -1 {
				t.Fatalf("the worker ended with %d, though it was to be killed", status)
			}
			if n := len(events(t, s.nats.url)); (n > 0) != (point != "after-commit") {
				t.Fatalf("%d events at %s", n, point)
			}
			if n := s.rows(); n == 0 {
				t.Fatal("no row was committed before the crash")
			}
			s.clientele("worker")
			s.settled(ingress.api(), operations)
			if point != "after-commit" && len(s.published()[path.Base(operations[0])]) < 2 {
				t.Error("no event was sent again")
			}
		})
	}
}

// A nats-server that hangs for 40 s: no request waits for it for more than 5 s, and then everything goes on.
func TestNATSHangs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress, worker := s.clientele("ingress"), s.clientele("worker")
	operations := []string{accepted(t, ingress.api(), jane, "")}
	s.nats.signal(syscall.SIGSTOP)
	refused := 0
	for began := time.Now(); time.Since(began) < 40*time.Second; refused++ {
		asked := time.Now()
		r := post(t, ingress.api(), jane, fmt.Sprint("key ", refused))
		if took := time.Since(asked); r.status != http.StatusServiceUnavailable || took > 5*time.Second {
			t.Errorf("%d after %s: %s", r.status, took, r.body)
		}
		if r.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		<-time.After(time.Second)
	}
	s.nats.signal(syscall.SIGCONT)
	publishertest.Eventually(t, "commands are accepted again", func() bool {
		r := post(t, ingress.api(), jane, "again")
		operations = append(operations, r.header.Get("Location"))
		return r.status == http.StatusAccepted
	})
	// What was not known is known to whoever asks again under the key.
	for i := range refused {
		operations = append(operations, accepted(t, ingress.api(), jane, fmt.Sprint("key ", i)))
	}
	ingress.ready()
	worker.ready()
	s.settled(ingress.api(), slices.DeleteFunc(operations, func(o string) bool { return o == "" }))
}
