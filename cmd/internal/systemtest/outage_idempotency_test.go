package systemtest

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"
)

// An idempotency key means one client. The ingress finds repetitions in its pool, on the log or in the store; if none of them has the
// command any more, the worker does.

// again posts under a used key and checks that the answer is for the same operation.
func again(t *testing.T, api, key string, first testcluster.Reply) {
	t.Helper()
	r := testcluster.Post(t, api, testcluster.Jane, key)
	if r.Status != http.StatusAccepted || r.Object(t)["id"] != first.Object(t)["id"] ||
		r.Object(t)["acceptedAt"] != first.Object(t)["acceptedAt"] {
		t.Errorf("%d: %s, first: %s", r.Status, r.Body, first.Body)
	}
}

func TestRetriesUnderAKey(t *testing.T) {
	t.Parallel()
	postgres := storetest.StartPostgres(t)
	s := testcluster.NewOn(t, postgres.URL())
	ingress := s.Clientele("ingress")
	api := ingress.API()
	takes := func(key string) testcluster.Reply {
		t.Helper()
		r := testcluster.Post(t, api, testcluster.Jane, key)
		if r.Status != http.StatusAccepted {
			t.Fatalf("%d: %s", r.Status, r.Body)
		}
		return r
	}

	inFlight := retryInFlight(t, s, api)
	pending := takes("pending")
	again(t, api, "pending", pending)
	again(t, api, "in flight", inFlight)

	worker := s.Clientele("worker")
	operations := []string{operationOf(t, inFlight), operationOf(t, pending)}
	s.Settled(api, operations)
	again(t, api, "pending", pending)

	worker.Stop()
	worker = s.Trimmed()
	onLog := func() int { return len(testcluster.Messages(t, s.NATS.URL, domain.StreamCommands)) }
	publishertest.Eventually(t, "the store has the client", func() bool { // unless the look-up takes more than 250 ms: then the worker finds it
		publishertest.Eventually(t, "the log is trimmed", func() bool { return onLog() == 0 })
		return takes("pending").Object(t)["acceptedAt"] == pending.Object(t)["acceptedAt"] && onLog() == 0
	})

	postgres.Stop(t, true)
	down := takes("store down")
	operations = append(operations, operationOf(t, down))
	again(t, api, "store down", down)
	// Now neither the store nor the log has these. The worker recognises them.
	before := len(s.Published()[path.Base(operations[1])])
	takes("pending")
	if r := testcluster.Post(t, api, strings.Replace(testcluster.Jane, "Jane", "Janet", 1), "in flight"); r.Status != http.StatusAccepted {
		t.Fatalf("%d: %s", r.Status, r.Body)
	}
	postgres.Start(t)
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)
	worker.Says(`"reason":"idempotency-key-reused"`)
	rejected := testcluster.Messages(t, s.NATS.URL, domain.StreamRejections)
	if len(rejected) != 1 || path.Base(operations[0]) != strings.TrimPrefix(rejected[0].Subject, domain.SubjectRejected) {
		t.Errorf("%d rejections", len(rejected))
	}
	if n := s.Rows(); n != len(operations) {
		t.Errorf("%d rows, want %d", n, len(operations))
	}
	// A client outranks the rejection of a later request under its key.
	s.SameEvents(api, operations)
	if client := testcluster.Get(t, api+"/api/v2/clients/"+path.Base(operations[0])); strings.Contains(client.Body, "Janet") {
		t.Errorf("the row is another one now: %s", client.Body)
	}
	publishertest.Eventually(t, "the event is published again", func() bool { return len(s.Published()[path.Base(operations[1])]) > before })
	s.SameEvents(api, operations)
}

// retryInFlight sends a request, gives up waiting, and retries while the first attempt is still on its way to the log. It returns the
// answer to the retry.
func retryInFlight(t *testing.T, s *testcluster.Cluster, api string) testcluster.Reply {
	t.Helper()
	s.NATS.Signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/api/v2/clients", strings.NewReader(testcluster.Jane))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "in flight")
	if response, err := http.DefaultClient.Do(r); err == nil {
		response.Body.Close()
		t.Fatalf("%s, though the log is paused", response.Status)
	}
	second := make(chan testcluster.Reply)
	go func() { second <- testcluster.Post(t, api, testcluster.Jane, "in flight") }()
	s.NATS.Signal(syscall.SIGCONT)
	answer := <-second
	if answer.Status != http.StatusAccepted {
		t.Fatalf("%d: %s", answer.Status, answer.Body)
	}
	return answer
}

func operationOf(t *testing.T, r testcluster.Reply) string {
	t.Helper()
	self, _, _ := strings.Cut(r.Object(t)["links"].(map[string]any)["self"].(string), "?")
	return self
}

// Of different concurrent requests under one key at two ingresses, one wins the key.
func TestAKeyHasOneRequest(t *testing.T) {
	t.Parallel()
	const rounds, posts, bodies = 10, 20, 4
	s := testcluster.New(t)
	apis := []string{s.Clientele("ingress").API(), s.Clientele("ingress").API()}
	s.Clientele("worker")
	var operations []string
	for round := range rounds {
		key := fmt.Sprint("round ", round)
		body := func(i int) string {
			return strings.Replace(testcluster.Jane, "Smith", fmt.Sprint("Smith ", i%bodies), 1)
		}
		replies := make([]testcluster.Reply, posts)
		testcluster.Each(posts, func(i int) { replies[i] = testcluster.Post(t, apis[i/bodies%2], body(i), key) })
		winner := -1
		for i, r := range replies {
			if r.Status == http.StatusAccepted {
				winner = i % bodies
			}
		}
		operation := "/api/v2/operations/" + s.KeyedID("anonymous", key).String()
		operations = append(operations, operation)
		for i, r := range replies {
			switch {
			case i%bodies != winner:
				if r.Status != http.StatusUnprocessableEntity || r.Object(t)["type"] != "/problems/idempotency-key-reused" {
					t.Errorf("%s: another request: %d %s", key, r.Status, r.Body)
				}
			case r.Status != http.StatusAccepted || r.Operation() != operation:
				t.Errorf("%s: the same request: %d %s", key, r.Status, r.Body)
			}
		}
		if client := testcluster.Succeeded(t, apis[0], operation); !strings.Contains(client, fmt.Sprintf(`"lastName":"Smith %d"`, winner)) {
			t.Errorf("%s: not the client of %d: %s", key, winner, client)
		}
	}
	s.Settled(apis[1], operations)
}

// While the store is too slow for the look-up of an ingress, a different request under a used key is accepted, and only the worker can
// see that the key is used. Its caller never receives the outcome of the first request.
func TestAUsedKeyWhileTheStoreIsSlow(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	api := s.Clientele("ingress").API()
	for _, key := range []string{"wait", "ask", "same"} {
		testcluster.Accepted(t, api, testcluster.Jane, key)
	}
	s.Trimmed()

	session := s.Session()
	s.Exec(session, `BEGIN`)
	s.Exec(session, `LOCK TABLE clients IN ACCESS EXCLUSIVE MODE`)
	janet := strings.Replace(testcluster.Jane, "Jane", "Janet", 1)
	waited := make(chan testcluster.Reply)
	go func() { waited <- testcluster.PostAndWait(t, api, janet, "wait") }()
	other, same := testcluster.Post(t, api, janet, "ask"), testcluster.Post(t, api, testcluster.Jane, "same")
	publishertest.Eventually(t, "the commands are accepted", func() bool {
		return len(testcluster.Messages(t, s.NATS.URL, domain.StreamCommands)) == 3
	})
	if r := testcluster.Post(t, api, janet, "ask"); r.Header.Get("Location") != other.Header.Get("Location") {
		t.Errorf("a retry: %v %s", r.Header, r.Body)
	}
	s.Exec(session, `COMMIT`)
	if r := <-waited; r.Status != http.StatusUnprocessableEntity || r.Object(t)["type"] != "/problems/idempotency-key-reused" {
		t.Errorf("a request that waits: %d %s", r.Status, r.Body)
	}
	for status, r := range map[string]testcluster.Reply{"rejected": other, "succeeded": same} {
		self := r.Header.Get("Location")
		publishertest.Eventually(t, "the operation is "+status, func() bool {
			now := testcluster.Get(t, api+self).Object(t)
			if now["status"] != "pending" && now["status"] != status || now["links"].(map[string]any)["self"] != self {
				t.Fatalf("%s: %v, want %s", self, now, status)
			}
			return now["status"] == status
		})
	}
}
