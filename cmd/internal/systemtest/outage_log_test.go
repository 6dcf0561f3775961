package systemtest

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// A full log refuses commands and drops none. It accepts new ones after workers have made room.
func TestTheLogIsFull(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	smaller := append([]string{"--log-max-bytes=1048576"}, s.Flags...)
	if status := testcluster.Clientele(t, "migrate", smaller...).Wait(); status != 0 {
		t.Fatalf("migrate: exit status %d", status)
	}
	ingress := s.Clientele("ingress")
	// The longest possible names, so that fewer commands fill the log.
	long := strings.Repeat("x", 255)
	body := strings.Replace(testcluster.Full, "Smith Ltd", long, 1)
	for _, member := range []string{"title", "middleName", "pronouns", "nationality", "occupation"} {
		body = strings.Replace(body, `{`, `{"`+member+`": "`+long+`", `, 1)
	}
	body = strings.Replace(body, `  "title": "Dr",`, "", 1)

	var mu sync.Mutex
	var operations []string
	refused := func(r testcluster.Reply) {
		if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || r.Object(t)["type"] != "/problems/log-full" {
			t.Errorf("%d %v: %s", r.Status, r.Header, r.Body)
		}
	}
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for {
				r := testcluster.Post(t, ingress.API(), body, "")
				if r.Status != http.StatusAccepted {
					refused(r)
					return
				}
				mu.Lock()
				operations = append(operations, r.Header.Get("Location"))
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	// Concurrently, so that they are published as a batch.
	testcluster.Each(64, func(int) { refused(testcluster.Post(t, ingress.API(), body, "")) })
	kept := map[string]bool{}
	for _, command := range testcluster.Messages(t, s.NATS.URL, domain.StreamCommands) {
		kept["/api/v2/operations/"+strings.TrimPrefix(command.Subject, domain.SubjectCreate)] = true
	}
	if len(kept) != len(operations) {
		t.Errorf("%d commands on the log, %d accepted", len(kept), len(operations))
	}
	for _, operation := range operations {
		if !kept[operation] {
			t.Errorf("%s is not on the log", operation)
		}
	}

	worker := s.Clientele("worker")
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)
	worker.Stop()
	s.Trimmed()
	operations = append(operations, retried(t, ingress.API(), "again"))
	testcluster.Each(64, func(int) {
		operation := testcluster.Accepted(t, ingress.API(), body, "")
		mu.Lock()
		defer mu.Unlock()
		operations = append(operations, operation)
	})
	s.Settled(ingress.API(), operations)
}
