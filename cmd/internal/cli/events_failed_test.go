package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

// picky is a receiver that refuses events whose body contains a word, until it is corrected.
type picky struct {
	mu       sync.Mutex
	word     string
	accepted map[string]int
}

func (p *picky) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.word != "" && strings.Contains(string(body), p.word) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	p.accepted[request.Header.Get("Ce-Subject")]++
}

func (p *picky) correct() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.word = ""
}

func (p *picky) has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted[id] > 0
}

// TestRefusedEventsDoNotStopOthers lets a receiver refuse as many events as the server delivers at once. They are given up, another event
// arrives, and a retry delivers those whose clients still exist.
func TestRefusedEventsDoNotStopOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	api, natsURL := serve.API(), serve.NATSURL()
	const refused = 20
	js := testcluster.JetStream(t, natsURL)
	if _, err := js.CreateConsumer(t.Context(), domain.StreamEvents, jetstream.ConsumerConfig{
		Durable: "crm", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxDeliver: -1, MaxAckPending: refused,
	}); err != nil {
		t.Fatal(err)
	}
	r := &picky{word: "Refused", accepted: map[string]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	var ids []string
	create := func(lastName string) string {
		t.Helper()
		operation := testcluster.Accepted(t, api, strings.Replace(testcluster.Jane, "Smith", lastName, 1), "")
		testcluster.Succeeded(t, api, operation)
		return path.Base(operation)
	}
	for range refused {
		ids = append(ids, create("Refused"))
	}
	good := create("Smith")

	args := []string{"events", "forward", server.URL, "--name=crm", "--give-up-after=1s", "--nats-url", natsURL, "--log-format=json", "--admin-listen=127.0.0.1:0"}
	forward := testcluster.Start(t, testcluster.Program(t, "clientele"), args...)
	forward.Ready()
	publishertest.Eventually(t, "the other event is delivered", func() bool { return r.has(good) })
	publishertest.Eventually(t, "the refused events are given up", func() bool {
		return testcluster.Metric(t, forward.Admin(), `clientele_forward_attempts_total{result="given_up"}`) == refused
	})
	if strings.Contains(forward.Output(), "Refused") {
		t.Errorf("personal data in %s", forward.Output())
	}
	forward.Stop()

	failed := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := testcluster.RunLine(t, append([]string{"events", "failed"}, append(args, "--nats-url", natsURL)...)...)
		if status != cli.ExitOK || strings.Contains(stdout+stderr, "Refused") {
			t.Fatalf("%v: %d: %s%s", args, status, stdout, stderr)
		}
		return stdout + stderr
	}
	if out := failed("ls"); !strings.Contains(out, "20 events\n") || !strings.Contains(out, "the receiver responded with 422 Unprocessable Entity") {
		t.Errorf("%s", out)
	}
	for _, id := range ids {
		if !strings.Contains(failed("ls", "crm"), id) {
			t.Errorf("client %s is not listed", id)
		}
	}
	if status, stdout, stderr := testcluster.RunLine(t, "erase", "--yes", ids[0], "--nats-url", natsURL, "--data-dir", dir); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}

	r.correct()
	forward = testcluster.Start(t, testcluster.Program(t, "clientele"), args...)
	forward.Ready()
	if out := failed("retry", "crm", "--yes"); !strings.Contains(out, "published again: 19\n") || !strings.Contains(out, "erased: 1\n") {
		t.Errorf("%s", out)
	}
	for _, id := range ids[1:] {
		publishertest.Eventually(t, "the event is delivered", func() bool { return r.has(id) })
	}
	if out := failed("ls"); out != "no events\n" {
		t.Errorf("%s", out)
	}
	forward.Stop()
	serve.Stop()
}

// TestALostConsumerContinues deletes the consumer of a forwarder, which continues with the first event that it has not delivered.
func TestALostConsumerContinues(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	api, natsURL := serve.API(), serve.NATSURL()
	js := testcluster.JetStream(t, natsURL)
	r := &picky{accepted: map[string]int{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	create := func() string {
		t.Helper()
		operation := testcluster.Accepted(t, api, testcluster.Jane, "")
		testcluster.Succeeded(t, api, operation)
		return path.Base(operation)
	}
	forward := func() *testcluster.Process {
		t.Helper()
		p := testcluster.Start(t, testcluster.Program(t, "clientele"), "events", "forward", server.URL, "--name=crm", "--nats-url", natsURL, "--log-format=json")
		p.Says("forwarding events")
		return p
	}
	early := create()
	first := forward()
	delivered := create()
	publishertest.Eventually(t, "an event is delivered", func() bool { return r.has(delivered) })
	first.Stop()
	missed := create()
	if err := js.DeleteConsumer(t.Context(), domain.StreamEvents, "crm"); err != nil {
		t.Fatal(err)
	}

	second := forward()
	publishertest.Eventually(t, "the event is delivered that was published without a consumer", func() bool { return r.has(missed) })
	second.Stop()
	if r.has(early) {
		t.Error("an event was delivered that is older than the subscription")
	}

	// Without a consumer and a position, a subscription begins with the next event.
	if err := subscription.Delete(t.Context(), js, "crm"); err != nil {
		t.Fatal(err)
	}
	consumer, err := subscription.Create(t.Context(), js, subscription.Config{Name: "crm"})
	if err != nil || consumer.CachedInfo().NumPending != 0 {
		t.Error(fmt.Sprint(err), consumer)
	}
	serve.Stop()
}
