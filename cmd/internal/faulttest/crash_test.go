//go:build faults

package faulttest

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// A worker that is killed between the commit and the event, or between the event and the ack, loses nothing and creates no second row.
func TestCrash(t *testing.T) {
	t.Parallel()
	program := build(t, "clientele-faults")
	for _, point := range []string{"after-commit", "after-event", "before-ack"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := testcluster.New(t)
			ingress := s.Clientele("ingress")
			var operations []string
			for i := range 40 {
				body := strings.Replace(testcluster.Jane, "Smith", fmt.Sprint("Smith ", i), 1)
				operations = append(operations, testcluster.Accepted(t, ingress.API(), body, fmt.Sprint("key ", i)))
			}
			dying := testcluster.StartWith(t, []string{"CLIENTELE_FAULTS_KILL_AT=" + point + ":1"}, program,
				append([]string{"worker", "--admin-listen=127.0.0.1:0"}, s.Flags...)...)
			if status := dying.Wait(); status != -1 {
				t.Fatalf("the worker ended with %d, want a kill", status)
			}
			if n := len(testcluster.Events(t, s.NATS.URL)); (n > 0) != (point != "after-commit") {
				t.Fatalf("%d events at %s", n, point)
			}
			if n := s.Rows(); n == 0 {
				t.Fatal("no row was committed before the crash")
			}
			s.Clientele("worker")
			s.Settled(ingress.API(), operations)
			if point != "after-commit" && len(s.Published()[path.Base(operations[0])]) < 2 {
				t.Error("no event was sent again")
			}
		})
	}
}

// While a nats-server hangs for 40 s, no request waits long. Afterwards everything is processed.
func TestNATSHangs(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	operations := []string{testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")}
	s.NATS.Signal(syscall.SIGSTOP)
	refused := 0
	for began := time.Now(); time.Since(began) < 40*time.Second; refused++ {
		asked := time.Now()
		r := testcluster.Post(t, ingress.API(), testcluster.Jane, fmt.Sprint("key ", refused))
		if took := time.Since(asked); r.Status != http.StatusServiceUnavailable || took > testcluster.Patience {
			t.Errorf("%d after %s: %s", r.Status, took, r.Body)
		}
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		<-time.After(time.Second)
	}
	s.NATS.Signal(syscall.SIGCONT)
	publishertest.Eventually(t, "commands are accepted again", func() bool {
		r := testcluster.Post(t, ingress.API(), testcluster.Jane, "again")
		operations = append(operations, r.Header.Get("Location"))
		return r.Status == http.StatusAccepted
	})
	// A retry under the same key settles an unknown outcome.
	for i := range refused {
		operations = append(operations, testcluster.Accepted(t, ingress.API(), testcluster.Jane, fmt.Sprint("key ", i)))
	}
	ingress.Ready()
	worker.Ready()
	s.Settled(ingress.API(), slices.DeleteFunc(operations, func(o string) bool { return o == "" }))
}
