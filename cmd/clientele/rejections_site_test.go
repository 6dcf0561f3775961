package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// rejected waits until every command has its outcome and is acknowledged, and returns the ids of the rejections by reason.
func (s *site) rejected(t *testing.T) map[domain.Code][]string {
	t.Helper()
	publishertest.Eventually(t, "every command is acknowledged", s.drained)
	byReason := map[domain.Code][]string{}
	for _, msg := range messages(t, s.nats.url, domain.StreamRejections) {
		r, err := domain.ParseRejection(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		byReason[r.Reason] = append(byReason[r.Reason], r.ID)
	}
	return byReason
}

// rejections runs the command in this process, and returns what it prints to standard output.
func (s *site) rejections(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := runLine(t, append(append([]string{"rejections"}, args...), "--nats-url", s.nats.url)...)
	if status != exitOK {
		t.Fatalf("%v: %d %s%s", args, status, stdout, stderr)
	}
	return stdout
}

// hand puts a command on the log without an ingress.
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

// One command is rejected for each reason; then a person looks after them.
func TestWhatNeedsAPerson(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress := s.clientele("ingress")
	s.clientele("worker")
	js := jetStream(t, s.nats.url)
	s.exec(s.session(), poisonOn)

	poison := accepted(t, ingress.api(), strings.Replace(jane, "Smith", "Poison", 1), "a key")
	invalid := publishertest.Command(t, publishertest.NewID(t), "Smith")
	hand(t, js, invalid, []byte(`{"firstName": "Jane", "lastName": "Smith", "emailAddress": "nonsense", "telephoneNumber": "020 7946 0958"}`))
	if _, err := js.Publish(t.Context(), "client.create.x", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	first := publishertest.Command(t, publishertest.NewID(t), "First")
	hand(t, js, first, first.Body)
	s.rejected(t)
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
	rejected := s.rejected(t)
	var shown strings.Builder
	shown.WriteString(s.rejections(t, "ls"))
	for reason, id := range ids {
		if !slices.Equal(rejected[reason], []string{id}) {
			t.Fatalf("%s: rejections of %v", reason, rejected[reason])
		}
		if ls := s.rejections(t, "ls", "--json", "--reason", string(reason)); !strings.HasPrefix(ls, `{"id":"`+id+`","reason":"`+string(reason)) || strings.Count(ls, "\n") != 1 {
			t.Errorf("ls of %s: %s", reason, ls)
		}
		shown.WriteString(s.rejections(t, "show", id) + s.rejections(t, "ls", "--json", "--reason", string(reason)))
		if body := s.rejections(t, "show", id, "--body"); !strings.Contains(body, map[bool]string{false: "Jane", true: "garbage"}[id == "x"]) {
			t.Errorf("body of %s: %s", reason, body)
		}
	}
	all := shown.String()
	if !strings.Contains(all, "/emailAddress, /telephoneNumber") {
		t.Errorf("no pointers: %s", all)
	}
	for _, data := range []string{"Jane", "Poison", "Second", "nonsense", "garbage", "020 7946"} {
		if strings.Contains(all, data) {
			t.Errorf("%s, without being asked for: %s", data, all)
		}
	}
	if list := s.rejections(t, "ls") + s.rejections(t, "ls", "--json"); strings.Contains(list, "+44") {
		t.Errorf("ls suggests a telephone number: %s", list)
	}

	// Nothing is mended: they come back.
	if out := s.rejections(t, "retry", "--all", "--yes"); !strings.HasSuffix(out, "unstorable: 1\nretried 4, skipped 0\n") {
		t.Error(out)
	}
	if again := s.rejected(t); len(again) != 4 || !slices.Equal(again[domain.CodeUnstorable], rejected[domain.CodeUnstorable]) {
		t.Errorf("rejected again: %v", again)
	}
	if op := get(t, ingress.api()+poison).object(t); op["status"] != "failed" {
		t.Errorf("operation: %v", op)
	}

	// The database is mended.
	s.exec(s.session(), poisonOff)
	s.rejections(t, "retry", "--reason=unstorable", "--yes")
	if client := succeeded(t, ingress.api(), poison); !strings.Contains(client, `"lastName":"Poison"`) {
		t.Errorf("client: %s", client)
	}
	// And what has been posted once is still known as that.
	if r := post(t, ingress.api(), strings.Replace(jane, "Smith", "Poison", 1), "a key"); r.status != http.StatusAccepted || r.header.Get("Location") != poison {
		t.Errorf("posted again: %d %s", r.status, r.body)
	}
	if left := s.rejected(t); len(left) != 3 || len(left[domain.CodeUnstorable]) != 0 {
		t.Errorf("left: %v", left)
	}
	if n := len(events(t, s.nats.url)[ids[domain.CodeUnstorable]]); n != 1 {
		t.Errorf("%d events", n)
	}

	operation := ingress.api() + "/api/v2/operations/"
	if op := get(t, operation+ids[domain.CodeInvalid]).object(t); op["status"] != "rejected" {
		t.Errorf("operation: %v", op)
	}
	s.rejections(t, "drop", "--all", "--yes")
	if r := get(t, operation+ids[domain.CodeInvalid]); r.status != http.StatusNotFound {
		t.Errorf("operation of what was dropped: %d %s", r.status, r.body)
	}
	succeeded(t, ingress.api(), "/api/v2/operations/"+first.ID.String()) // the client of the first command is not touched
	if left := s.rejected(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A crowd comes in atomic batches, and can be retried for all that.
func TestACrowdIsRetried(t *testing.T) {
	t.Parallel()
	const n = 60
	s := newSite(t)
	ingress := s.clientele("ingress")
	s.exec(s.session(), poisonOn)
	operations := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			operations[i] = accepted(t, ingress.api(), strings.Replace(jane, "Smith", "Poison", 1), fmt.Sprint("key ", i))
		})
	}
	wg.Wait()
	if !slices.ContainsFunc(messages(t, s.nats.url, domain.StreamCommands), func(msg *jetstream.RawStreamMsg) bool {
		return msg.Header.Get("Nats-Batch-Id") != ""
	}) {
		t.Log("this time no command came in a batch") // whether they meet is chance; publisher has the test for it
	}
	s.clientele("worker")
	if rejected := s.rejected(t); len(rejected[domain.CodeUnstorable]) != n {
		t.Fatalf("%d rejections", len(rejected[domain.CodeUnstorable]))
	}
	s.exec(s.session(), poisonOff)
	if out := s.rejections(t, "retry", "--since=1h", "--yes"); out != "unstorable: 60\nretried 60, skipped 0\n" {
		t.Error(out)
	}
	for _, operation := range operations {
		succeeded(t, ingress.api(), operation)
	}
	if left := s.rejected(t); len(left) != 0 || len(events(t, s.nats.url)) != n || s.rows() != n {
		t.Errorf("left: %v; events of %d clients, %d rows", left, len(events(t, s.nats.url)), s.rows())
	}
}

// With serve there is nothing to set up for it.
func TestRejectionsOfServe(t *testing.T) {
	t.Parallel()
	serve := clientele(t, "serve", "--data-dir", t.TempDir())
	serve.ready()
	natsURL := serve.says(natsIsAt)
	js := jetStream(t, natsURL)
	c := publishertest.Command(t, publishertest.NewID(t), "Smith")
	hand(t, js, c, []byte("{}"))
	operation := serve.api() + "/api/v2/operations/" + c.ID.String()
	status := func() any { return get(t, operation).object(t)["status"] }
	publishertest.Eventually(t, "the command is rejected", func() bool { return status() == "rejected" })
	rejections := func(args ...string) string {
		t.Helper()
		_, stdout, stderr := runLine(t, append(append([]string{"rejections"}, args...), "--nats-url", natsURL)...)
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
		return get(t, operation).status == http.StatusNotFound
	})
}
