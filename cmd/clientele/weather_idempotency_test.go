package main

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"
)

// An idempotency key means one client, whoever has to find that out: the ingress in its pool, the log, the store, or, when
// neither log nor store can tell, the worker.

// again posts under a key that has an operation and checks that the answer is that operation's.
func again(t *testing.T, api, key string, first reply) {
	t.Helper()
	r := post(t, api, jane, key)
	if r.status != http.StatusAccepted || r.object(t)["id"] != first.object(t)["id"] ||
		r.object(t)["acceptedAt"] != first.object(t)["acceptedAt"] {
		t.Errorf("%d: %s, first: %s", r.status, r.body, first.body)
	}
}

func TestRetriesUnderAKey(t *testing.T) {
	t.Parallel()
	postgres := storetest.StartPostgres(t)
	s := newSiteOn(t, postgres.URL())
	ingress := s.clientele("ingress")
	api := ingress.api()
	takes := func(key string) reply {
		t.Helper()
		r := post(t, api, jane, key)
		if r.status != http.StatusAccepted {
			t.Fatalf("%d: %s", r.status, r.body)
		}
		return r
	}

	inFlight := retryInFlight(t, s, api)
	pending := takes("pending")
	again(t, api, "pending", pending)
	again(t, api, "in flight", inFlight)

	worker := s.clientele("worker")
	operations := []string{operationOf(t, inFlight), operationOf(t, pending)}
	s.settled(api, operations)
	again(t, api, "pending", pending)

	worker.stop()
	worker = s.trimmed()
	again(t, api, "pending", pending)
	if n := len(messages(t, s.nats.url, domain.StreamCommands)); n > 0 {
		t.Errorf("%d commands on the log, though the store has the client", n)
	}

	postgres.Stop(t, true)
	down := takes("store down")
	operations = append(operations, operationOf(t, down))
	again(t, api, "store down", down)
	// Now neither the store nor the log knows these; the worker will.
	before := len(s.published()[path.Base(operations[1])])
	takes("pending")
	if r := post(t, api, strings.Replace(jane, "Jane", "Janet", 1), "in flight"); r.status != http.StatusAccepted {
		t.Fatalf("%d: %s", r.status, r.body)
	}
	postgres.Start(t)
	publishertest.Eventually(t, "every command is acknowledged", s.drained)
	worker.says(`"reason":"idempotency-key-reused"`)
	rejected := messages(t, s.nats.url, domain.StreamRejections)
	if len(rejected) != 1 || path.Base(operations[0]) != strings.TrimPrefix(rejected[0].Subject, domain.SubjectRejected) {
		t.Errorf("%d rejections", len(rejected))
	}
	if n := s.rows(); n != len(operations) {
		t.Errorf("%d rows, want %d", n, len(operations))
	}
	// A client outranks the rejection of what came under its key later.
	s.sameEvents(api, operations)
	if client := get(t, api+"/api/v2/clients/"+path.Base(operations[0])); strings.Contains(client.body, "Janet") {
		t.Errorf("the row is another one now: %s", client.body)
	}
	publishertest.Eventually(t, "the event is sent again", func() bool { return len(s.published()[path.Base(operations[1])]) > before })
	s.sameEvents(api, operations)
}

// retryInFlight has a caller give up waiting, and try again while the first attempt is still on its way to the log. It
// returns the answer to the second.
func retryInFlight(t *testing.T, s *site, api string) reply {
	t.Helper()
	s.nats.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/api/v2/clients", strings.NewReader(jane))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "in flight")
	if response, err := http.DefaultClient.Do(r); err == nil {
		response.Body.Close()
		t.Fatalf("%s, though the log is halted", response.Status)
	}
	second := make(chan reply)
	go func() { second <- post(t, api, jane, "in flight") }()
	s.nats.signal(syscall.SIGCONT)
	answer := <-second
	if answer.status != http.StatusAccepted {
		t.Fatalf("%d: %s", answer.status, answer.body)
	}
	return answer
}

func operationOf(t *testing.T, r reply) string {
	t.Helper()
	return r.object(t)["links"].(map[string]any)["self"].(string)
}

// trimmed starts a worker that keeps no history, and returns when nothing is left on the log.
func (s *site) trimmed() *proc {
	s.t.Helper()
	worker := clientele(s.t, "worker", append([]string{"--history=0s"}, s.flags...)...)
	worker.ready()
	publishertest.Eventually(s.t, "the log is trimmed", func() bool {
		commands, err := s.js.Stream(context.Background(), domain.StreamCommands)
		if err != nil {
			s.t.Fatal(err)
		}
		return commands.CachedInfo().State.Msgs == 0
	})
	return worker
}

// Different requests under one key, at once and at two ingresses: one of them is the key's from then on.
func TestAKeyHasOneRequest(t *testing.T) {
	t.Parallel()
	const rounds, posts, bodies = 10, 20, 4
	s := newSite(t)
	apis := []string{s.clientele("ingress").api(), s.clientele("ingress").api()}
	s.clientele("worker")
	var operations []string
	for round := range rounds {
		key := fmt.Sprint("round ", round)
		body := func(i int) string { return strings.Replace(jane, "Smith", fmt.Sprint("Smith ", i%bodies), 1) }
		replies := make([]reply, posts)
		each(posts, func(i int) { replies[i] = post(t, apis[i/bodies%2], body(i), key) })
		winner := -1
		for i, r := range replies {
			if r.status == http.StatusAccepted {
				winner = i % bodies
			}
		}
		operation := "/api/v2/operations/" + domain.KeyedID("anonymous", key).String()
		operations = append(operations, operation)
		for i, r := range replies {
			switch {
			case i%bodies != winner:
				if r.status != http.StatusUnprocessableEntity || r.object(t)["type"] != "/problems/idempotency-key-reused" {
					t.Errorf("%s: another request: %d %s", key, r.status, r.body)
				}
			case r.status != http.StatusAccepted || r.header.Get("Location") != operation:
				t.Errorf("%s: the same request: %d %s", key, r.status, r.body)
			}
		}
		if client := succeeded(t, apis[0], operation); !strings.Contains(client, fmt.Sprintf(`"lastName":"Smith %d"`, winner)) {
			t.Errorf("%s: not the client of %d: %s", key, winner, client)
		}
	}
	s.settled(apis[1], operations)
}
