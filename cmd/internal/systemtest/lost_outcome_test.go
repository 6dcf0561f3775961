package systemtest

import (
	"net/http"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

// A completed command has neither a row nor a rejection, as after an operator's mistake. A look at its operation, or a retry of its
// request, makes a worker process it again. An erased client stays erased, and a rejection stays.
func TestALostOutcomeIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	var ids, operations []string
	for _, key := range []string{"row", "row and event", "retry", "erased"} {
		operations = append(operations, testcluster.Accepted(t, ingress.API(), testcluster.Jane, key))
		ids = append(ids, idOf(operations[len(operations)-1]))
	}
	s.Settled(ingress.API(), operations)
	before := testcluster.Events(t, s.NATS.URL)
	rejected := rejectedCommand(t, s)
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)
	deleteEvents(t, s, ids[1])
	s.NATS.Stop() // and it forgets the id of the event
	s.NATS.Restart(t)
	for _, role := range []*testcluster.Process{ingress, worker} {
		publishertest.Eventually(t, "it is ready", role.IsReady)
	}

	db := s.Session()
	lose := func(i int) { s.Exec(db, `DELETE FROM clients WHERE id = $1`, ids[i]) }
	s.Exec(db, `INSERT INTO erasures (hash, erased_at, reason, operator) VALUES (sha256(uuid_send($1::uuid)), now(), '', '')`, ids[3])
	lose(3)
	for i := range 2 {
		lose(i)
		testcluster.Succeeded(t, ingress.API(), operations[i])
	}
	lose(2)
	publishertest.Eventually(t, "the client of the retry", func() bool {
		if r := testcluster.Post(t, ingress.API(), testcluster.Jane, "retry"); r.Status != http.StatusAccepted {
			t.Fatalf("the retry: %d %s", r.Status, r.Body)
		}
		return s.Rows() == 3
	})
	publishertest.Eventually(t, "the erased one is rejected", func() bool {
		return testcluster.Get(t, ingress.API()+operations[3]).Object(t)["status"] == "rejected"
	})
	if r := testcluster.Get(t, ingress.API()+"/api/v2/operations/"+rejected); r.Object(t)["status"] != "failed" {
		t.Errorf("the rejected one: %s", r.Body)
	}
	if n := s.Rows(); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	after := testcluster.Events(t, s.NATS.URL)
	for i, id := range ids {
		if i < 3 && len(after[id]) == 0 {
			t.Errorf("client %s has no event", id)
		}
		for _, event := range after[id] {
			// A client that is created from its command has another event.
			if first := before[id][0]; string(event.Data) != string(first.Data) || i != 1 && event.Header.Get("ce-id") != first.Header.Get("ce-id") {
				t.Errorf("an event is %v %s, the first one was %v %s", event.Header, event.Data, first.Header, first.Data)
			}
		}
	}
	s.SameEvents(ingress.API(), []string{operations[0], operations[2]})
	if asked := requests(t, s); asked[rejected] != 0 || asked[ids[0]] != 1 {
		t.Errorf("workers were asked for %v", asked)
	}
	worker.Says("processing the commands again")
	if n := testcluster.Metric(t, worker.Admin(), "clientele_worker_repeated_commands_total"); n != 4 {
		t.Errorf("the worker has repeated %v commands, want 4", n)
	}
}

// While no worker lives, each look at an operation finds its outcome lost. An ingress asks once.
func TestALostOutcomeIsAskedForOnce(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	operation := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	s.Settled(ingress.API(), []string{operation})
	worker.Stop()
	s.Exec(s.Session(), `DELETE FROM clients`)
	look := func() int {
		if status := testcluster.Get(t, ingress.API()+operation).Object(t)["status"]; status != "pending" {
			t.Fatalf("the operation: %v", status)
		}
		return requests(t, s)[idOf(operation)]
	}
	publishertest.Eventually(t, "a worker is asked", func() bool { return look() > 0 })
	for range 50 {
		if n := look(); n != 1 {
			t.Fatalf("a worker was asked %d times", n)
		}
	}
	s.Clientele("worker")
	testcluster.Succeeded(t, ingress.API(), operation)
}

// requests returns how often each command was asked for.
func requests(t *testing.T, s *testcluster.Cluster) map[string]int {
	t.Helper()
	asked := map[string]int{}
	for _, msg := range testcluster.Messages(t, s.NATS.URL, domain.StreamCommands) {
		if strings.HasPrefix(msg.Subject, domain.SubjectSync) && uuid.Validate(string(msg.Data)) == nil {
			asked[string(msg.Data)]++
		}
	}
	return asked
}

// rejectedCommand puts a command on the log that is rejected, and returns its id.
func rejectedCommand(t *testing.T, s *testcluster.Cluster) string {
	t.Helper()
	id := publishertest.NewID(t).String()
	if _, err := s.JetStream.PublishMsg(t.Context(), &nats.Msg{Subject: domain.SubjectCreate + id, Data: []byte("garbage")}); err != nil {
		t.Fatal(err)
	}
	return id
}
