package systemtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// hand publishes a command to the log without an ingress.
func hand(t *testing.T, js jetstream.JetStream, c domain.CreateClient, body []byte) {
	t.Helper()
	if _, err := js.PublishMsg(t.Context(), &nats.Msg{
		Subject: domain.SubjectCreate + c.ID.String(), Data: body, Header: nats.Header{
			domain.HeaderFingerprint: {c.Fingerprint.String()}, domain.HeaderCaller: {c.Caller},
			domain.HeaderAcceptedAt: {c.AcceptedAt.Format("2006-01-02T15:04:05.000000Z07:00")},
		},
	}); err != nil {
		t.Fatal(err)
	}
}

const (
	poisonOn  = `ALTER TABLE clients ADD CONSTRAINT poison CHECK (last_name <> 'Poison')`
	poisonOff = `ALTER TABLE clients DROP CONSTRAINT poison`
)

// One command is rejected for each reason. An operator lists, retries and drops them.
func TestRejectionsOfEachReason(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress := s.Clientele("ingress")
	worker := s.Clientele("worker")
	js := testcluster.JetStream(t, s.NATS.URL)
	s.Exec(s.Session(), poisonOn)

	poison := testcluster.Accepted(t, ingress.API(), strings.Replace(testcluster.Jane, "Smith", "Poison", 1), "a key")
	invalid := publishertest.Command(t, publishertest.NewID(t), "Smith")
	hand(t, js, invalid, []byte(`{"firstName": "Jane", "lastName": "Smith", "emailAddress": "nonsense", "telephoneNumber": "020 7946 0123"}`))
	if _, err := js.Publish(t.Context(), "client.create.x", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	first := publishertest.Command(t, publishertest.NewID(t), "First")
	hand(t, js, first, first.Body)
	s.Rejected(t)
	log, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Purge(t.Context(), jetstream.WithPurgeSubject(domain.SubjectCreate+first.ID.String())); err != nil {
		t.Fatal(err)
	}
	second := publishertest.Command(t, first.ID, "Second")
	hand(t, js, second, second.Body)

	ids := map[domain.Code]string{
		domain.CodeInvalid: invalid.ID.String(), domain.CodeKeyReused: first.ID.String(), domain.CodeUndecodable: "x",
		domain.CodeUnstorable: poison[strings.LastIndex(poison, "/")+1:],
	}
	rejected := s.Rejected(t)
	var shown strings.Builder
	shown.WriteString(s.Rejections(t, "ls"))
	for reason, id := range ids {
		if !slices.Equal(rejected[reason], []string{id}) {
			t.Fatalf("%s: rejections of %v", reason, rejected[reason])
		}
		if ls := s.Rejections(t, "ls", "--json", "--reason", string(reason)); !strings.HasPrefix(ls, `{"id":"`+id+`","reason":"`+string(reason)) || strings.Count(ls, "\n") != 1 {
			t.Errorf("ls of %s: %s", reason, ls)
		}
		shown.WriteString(s.Rejections(t, "show", id) + s.Rejections(t, "ls", "--json", "--reason", string(reason)))
		if body := s.Rejections(t, "show", id, "--body"); !strings.Contains(body, map[bool]string{false: "Jane", true: "garbage"}[id == "x"]) {
			t.Errorf("body of %s: %s", reason, body)
		}
	}
	shown.WriteString(testcluster.Get(t, ingress.API()+"/api/v2/operations/"+invalid.ID.String()).Body)
	all := shown.String()
	if !strings.Contains(all, "/emailAddress, /telephoneNumber") {
		t.Errorf("no pointers: %s", all)
	}
	for _, data := range []string{"Jane", "Poison", "Second", "nonsense", "garbage", "7946 0123", "7946012"} {
		if strings.Contains(all, data) {
			t.Errorf("%s, without being asked for: %s", data, all)
		}
	}

	// The causes remain: the commands are rejected again.
	if out := s.Rejections(t, "retry", "--all", "--yes"); !strings.HasSuffix(out, "unstorable: 1\nretried 4, skipped 0\n") {
		t.Error(out)
	}
	if again := s.Rejected(t); len(again) != 4 || !slices.Equal(again[domain.CodeUnstorable], rejected[domain.CodeUnstorable]) {
		t.Errorf("rejected again: %v", again)
	}
	if ls := s.Rejections(t, "ls", "--json"); strings.Count(ls, `"retries":1,`) != 4 {
		t.Errorf("ls after a retry: %s", ls)
	}
	if op := testcluster.Get(t, ingress.API()+poison).Object(t); op["status"] != "failed" {
		t.Errorf("operation: %v", op)
	}

	// The database accepts the row again.
	s.Exec(s.Session(), poisonOff)
	s.Rejections(t, "retry", "--reason=unstorable", "--yes")
	if client := testcluster.Succeeded(t, ingress.API(), poison); !strings.Contains(client, `"lastName":"Poison"`) {
		t.Errorf("client: %s", client)
	}
	// A repeated request still gets the same operation.
	if r := testcluster.Post(t, ingress.API(), strings.Replace(testcluster.Jane, "Smith", "Poison", 1), "a key"); r.Status != http.StatusAccepted || r.Operation() != poison {
		t.Errorf("posted again: %d %s", r.Status, r.Body)
	}
	if left := s.Rejected(t); len(left) != 3 || len(left[domain.CodeUnstorable]) != 0 {
		t.Errorf("left: %v", left)
	}
	if n := len(testcluster.Events(t, s.NATS.URL)[ids[domain.CodeUnstorable]]); n != 1 {
		t.Errorf("%d events", n)
	}

	operation := ingress.API() + "/api/v2/operations/"
	if op := testcluster.Get(t, operation+ids[domain.CodeInvalid]).Object(t); op["status"] != "rejected" {
		t.Errorf("operation: %v", op)
	}
	const removals = "clientele_audit_removals"
	before := testcluster.Metric(t, worker.Admin(), removals)
	s.Rejections(t, "drop", "--all", "--yes")
	if n := testcluster.Metric(t, worker.Admin(), removals) - before; before < 0 || n < 4 {
		t.Errorf("%v records of removals more for 4 dropped rejections", n)
	}
	if r := testcluster.Get(t, operation+ids[domain.CodeInvalid]); r.Status != http.StatusNotFound {
		t.Errorf("operation of what was dropped: %d %s", r.Status, r.Body)
	}
	testcluster.Succeeded(t, ingress.API(), "/api/v2/operations/"+first.ID.String()) // the client of the first command is not touched
	if left := s.Rejected(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Commands that arrived in atomic batches can be retried.
func TestConcurrentCommandsAreRetried(t *testing.T) {
	t.Parallel()
	const n = 60
	s := testcluster.New(t)
	ingress := s.Clientele("ingress")
	s.Exec(s.Session(), poisonOn)
	operations := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			operations[i] = testcluster.Accepted(t, ingress.API(), strings.Replace(testcluster.Jane, "Smith", "Poison", 1), fmt.Sprint("key ", i))
		})
	}
	wg.Wait()
	if !slices.ContainsFunc(testcluster.Messages(t, s.NATS.URL, domain.StreamCommands), func(msg *jetstream.RawStreamMsg) bool {
		return msg.Header.Get("Nats-Batch-Id") != ""
	}) {
		t.Log("this time no command came in a batch") // whether they share a batch is chance; publisher tests this
	}
	s.Clientele("worker")
	if rejected := s.Rejected(t); len(rejected[domain.CodeUnstorable]) != n {
		t.Fatalf("%d rejections", len(rejected[domain.CodeUnstorable]))
	}
	s.Exec(s.Session(), poisonOff)
	if out := s.Rejections(t, "retry", "--since=1h", "--yes"); out != "unstorable: 60\nretried 60, skipped 0\n" {
		t.Error(out)
	}
	for _, operation := range operations {
		testcluster.Succeeded(t, ingress.API(), operation)
	}
	if left := s.Rejected(t); len(left) != 0 || len(testcluster.Events(t, s.NATS.URL)) != n || s.Rows() != n {
		t.Errorf("left: %v; events of %d clients, %d rows", left, len(testcluster.Events(t, s.NATS.URL)), s.Rows())
	}
}

// With serve, the commands require no set-up.
func TestRejectionsOfServe(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	serve.Ready()
	natsURL := serve.NATSURL()
	js := testcluster.JetStream(t, natsURL)
	c := publishertest.Command(t, publishertest.NewID(t), "Smith")
	hand(t, js, c, []byte("{}"))
	operation := serve.API() + "/api/v2/operations/" + c.ID.String()
	status := func() any { return testcluster.Get(t, operation).Object(t)["status"] }
	publishertest.Eventually(t, "the command is rejected", func() bool { return status() == "rejected" })
	rejections := func(args ...string) string {
		t.Helper()
		_, stdout, stderr := testcluster.RunLine(t, append(append([]string{"rejections"}, args...), "--nats-url", natsURL)...)
		return stdout + stderr
	}
	if ls := rejections("ls"); !strings.Contains(ls, c.ID.String()+"  invalid") || !strings.HasSuffix(ls, "\n1 rejection\n") {
		t.Errorf("ls: %s", ls)
	}
	r := func() domain.Rejection {
		t.Helper()
		log, err := publisher.OpenLog(t.Context(), publisher.LogConfig{Conn: js.Conn()})
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		r, err := log.Rejection(t.Context(), c.ID)
		if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
			t.Fatal(err)
		}
		return r
	}
	old := r()
	publishertest.Eventually(t, "the command is retried", func() bool {
		return rejections("retry", c.ID.String(), "--yes") == "invalid: 1\nretried 1, skipped 0\n"
	})
	publishertest.Eventually(t, "the command is rejected again", func() bool { return r().RejectedAt.After(old.RejectedAt) })
	publishertest.Eventually(t, "the rejection is dropped with its command", func() bool {
		rejections("drop", c.ID.String(), "--yes")
		return testcluster.Get(t, operation).Status == http.StatusNotFound
	})
}
