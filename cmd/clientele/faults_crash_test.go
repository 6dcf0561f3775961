//go:build faults

package main

import (
	"fmt"
	"strings"
	"testing"

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
			ingress := s.clientele("ingress")
			published := watch(t, s.nats.url)
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
			for _, operation := range operations {
				succeeded(t, ingress.api(), operation)
			}
			// An operation has succeeded when its row is there, and that was before the crash. The events follow.
			publishertest.Eventually(t, "every command is acknowledged", s.drained)
			all := events(t, s.nats.url)
			if len(all) != len(operations) || s.rows() != len(operations) {
				t.Errorf("%d rows and events of %d clients, want %d", s.rows(), len(all), len(operations))
			}
			// The stream drops an event with an id that it has; what the workers sent shows whether the two are the same.
			sent := published()
			for _, operation := range operations {
				completed := get(t, ingress.api()+operation).object(t)["completedAt"]
				row := get(t, ingress.api()+strings.Replace(operation, "operations", "clients", 1))
				ids := map[string]bool{}
				for _, e := range sent[operation[strings.LastIndex(operation, "/")+1:]] {
					ids[e.Header.Get("ce-id")] = true
					if string(e.Data) != row.body || e.Header.Get("ce-time") != completed {
						t.Errorf("event %v %s, row %s of %v", e.Header, e.Data, row.body, completed)
					}
				}
				if len(ids) != 1 {
					t.Errorf("events with the ids %v", ids)
				}
			}
			if point != "after-commit" && len(sent[operations[0][strings.LastIndex(operations[0], "/")+1:]]) < 2 {
				t.Error("no event was sent again")
			}
		})
	}
}
