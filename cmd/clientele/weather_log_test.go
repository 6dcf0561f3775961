package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"clientele/domain"
	"clientele/publisher/publishertest"
)

// A full log refuses commands, drops none, and takes new ones again when workers have made room.
func TestTheLogIsFull(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	smaller := append([]string{"--log-max-bytes=1048576"}, s.flags...)
	if status := clientele(t, "migrate", smaller...).wait(); status != 0 {
		t.Fatalf("migrate: exit status %d", status)
	}
	ingress := s.clientele("ingress")
	// As long as names may be, so that it does not take thousands.
	long := strings.Repeat("x", 255)
	body := strings.Replace(full, "Smith Ltd", long, 1)
	for _, member := range []string{"title", "middleName", "pronouns", "nationality", "occupation"} {
		body = strings.Replace(body, `{`, `{"`+member+`": "`+long+`", `, 1)
	}
	body = strings.Replace(body, `  "title": "Dr",`, "", 1)

	var mu sync.Mutex
	var operations []string
	refused := func(r reply) {
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || r.object(t)["type"] != "/problems/log-full" {
			t.Errorf("%d %v: %s", r.status, r.header, r.body)
		}
	}
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for {
				r := post(t, ingress.api(), body, "")
				if r.status != http.StatusAccepted {
					refused(r)
					return
				}
				mu.Lock()
				operations = append(operations, r.header.Get("Location"))
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	// All at once, so that they go out as a batch.
	each(64, func(int) { refused(post(t, ingress.api(), body, "")) })
	kept := map[string]bool{}
	for _, command := range messages(t, s.nats.url, domain.StreamCommands) {
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

	worker := s.clientele("worker")
	publishertest.Eventually(t, "every command is acknowledged", s.drained)
	worker.stop()
	s.trimmed()
	operations = append(operations, retried(t, ingress.api(), "again"))
	each(64, func(int) {
		operation := accepted(t, ingress.api(), body, "")
		mu.Lock()
		defer mu.Unlock()
		operations = append(operations, operation)
	})
	s.settled(ingress.api(), operations)
}
