package cli_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/subscription"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"
)

// A process that delivers is stopped while the receiver fails, and another one continues. Requests are signed CloudEvents.
func TestWebhooksDeliver(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--no-forward")
	api, natsURL := serve.API(), serve.NATSURL()
	r := testcluster.NewReceiver(t)
	r.Answers(http.StatusServiceUnavailable)
	secret := []byte("0123456789abcdef0123456789abcdef")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("whsec_"+base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := testcluster.Webhooks(t, natsURL, "add", "crm", r.URL+"/hook", "--secret-file", file); out != "" {
		t.Errorf("the secret of a file is printed: %s", out)
	}
	forward := testcluster.Clientele(t, "forward", "--nats-url", natsURL)
	forward.Says("delivering events")
	operation := testcluster.Accepted(t, api, testcluster.Jane, "")
	record := testcluster.Succeeded(t, api, operation)
	publishertest.Eventually(t, "a first attempt", func() bool { return r.Requests() > 0 })
	request, body := r.Last()
	forward.Stop()
	r.Answers(http.StatusNoContent)
	later := testcluster.Accepted(t, api, testcluster.Jane, "")
	testcluster.Succeeded(t, api, later)
	again := testcluster.Clientele(t, "forward", "--nats-url", natsURL)
	again.Ready()
	publishertest.Eventually(t, "both events", func() bool { return r.Has(operation, later) })
	again.Stop()

	id := operation[strings.LastIndex(operation, "/")+1:]
	if request.URL.Path != "/hook" || body != record || request.Header.Get("Ce-Subject") != id || request.Header.Get("Ce-Type") != "client.created" ||
		request.Header.Get("Content-Type") != "application/json" || request.Header.Get("Webhook-Id") != request.Header.Get("Ce-Id") {
		t.Errorf("%v: %s", request.Header, body)
	}
	version, err := exec.Command(testcluster.Program(t, "clientele"), "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	agent := request.Header.Get("User-Agent")
	if agent != "Clientele/"+strings.Trim(strings.Fields(string(version))[1], "()") || !httpProduct.MatchString(agent) {
		t.Errorf("User-Agent %q, version %s", agent, version)
	}
	// The CloudEvents SDK accepts the request.
	request.Body = io.NopCloser(strings.NewReader(body))
	event, err := cloudevents.NewEventFromHTTPRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := event.Validate(); err != nil || event.Type() != "client.created" || event.Subject() != id || string(event.Data()) != record ||
		event.DataSchema() == "" || event.DataContentType() != "application/json" || event.Time().IsZero() {
		t.Errorf("%v: %v", err, event)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(request.Header.Get("Webhook-Id") + "." + request.Header.Get("Webhook-Timestamp") + "." + body))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); request.Header.Get("Webhook-Signature") != want {
		t.Errorf("signature %s, want %s", request.Header.Get("Webhook-Signature"), want)
	}
	if out := forward.Output() + again.Output(); strings.Contains(out, "Smith") || strings.Contains(out, "/hook") {
		t.Errorf("a log has personal data or the path of the URL: %s", out)
	}
	serve.Stop()
}

// httpProduct matches a product with its version (RFC 9110, section 10.1.5).
var httpProduct = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// A receiver refuses as many events as the server delivers at once. They are given up, another event arrives, and a redelivery delivers
// those whose clients still exist, to this webhook only.
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
	r, other := testcluster.NewReceiver(t), testcluster.NewReceiver(t)
	r.AnswersWith(func(_ *http.Request, body string) int {
		if strings.Contains(body, "Unwelcome") {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	create := func(lastName string) string {
		t.Helper()
		operation := testcluster.Accepted(t, api, strings.Replace(testcluster.Jane, "Smith", lastName, 1), "")
		testcluster.Succeeded(t, api, operation)
		return operation
	}
	var operations []string
	for range refused {
		operations = append(operations, create("Unwelcome"))
	}
	good := create("Smith")
	if status, _, stderr := testcluster.RunLine(t, "webhooks", "add", "crm", r.URL, "--nats-url", natsURL); status != cli.ExitUsage || !strings.Contains(stderr, "--adopt") {
		t.Errorf("a webhook takes the consumer of a subscriber: %d: %s", status, stderr)
	}
	testcluster.Webhooks(t, natsURL, "add", "crm", r.URL, "--adopt", "--give-up-after=1s")
	testcluster.Webhooks(t, natsURL, "add", "other", other.URL)
	publishertest.Eventually(t, "the other event is delivered", func() bool { return r.Has(good) })
	publishertest.Eventually(t, "the refused events are given up", func() bool {
		return testcluster.Metric(t, serve.Admin(), `clientele_webhook_attempts_total{result="given_up",webhook="crm"}`) == refused
	})
	if strings.Contains(serve.Output(), "Unwelcome") {
		t.Errorf("personal data in %s", serve.Output())
	}

	list := testcluster.Webhooks(t, natsURL, "deliveries", "crm", "--given-up")
	for _, operation := range operations {
		if !strings.Contains(list, operation[strings.LastIndex(operation, "/")+1:]) {
			t.Errorf("%s is not listed", operation)
		}
	}
	if !strings.Contains(list, "the receiver responded with 422 Unprocessable Entity") || strings.Contains(list, "Unwelcome") {
		t.Errorf("%s", list)
	}
	erased := operations[0][strings.LastIndex(operations[0], "/")+1:]
	if status, stdout, stderr := testcluster.RunLine(t, "erase", "--yes", erased, "--nats-url", natsURL, "--data-dir", dir); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}

	if status, stdout, stderr := testcluster.RunLine(t, "webhooks", "redeliver", "crm", "--given-up", "--yes", "--nats-url", natsURL); status != cli.ExitError ||
		!strings.Contains(stdout, "events delivered: 0\n") || !strings.Contains(stdout, "erased: 1\n") || !strings.Contains(stderr, "19 events not delivered") {
		t.Errorf("before it is corrected: %d: %s%s", status, stdout, stderr)
	}
	r.Answers(http.StatusOK)
	if out := testcluster.Webhooks(t, natsURL, "redeliver", "crm", "--given-up", "--yes"); out != "events delivered: 19\n" {
		t.Errorf("%s", out)
	}
	for _, operation := range operations[1:] {
		if r.Accepted(operation) != 1 || other.Has(operation) {
			t.Errorf("%s was delivered %d times, and to another webhook: %v", operation, r.Accepted(operation), other.Has(operation))
		}
	}
	if out := testcluster.Webhooks(t, natsURL, "deliveries", "crm", "--given-up"); out != "" {
		t.Errorf("%s", out)
	}
	audited, stdout, stderr := testcluster.RunLine(t, "audit", "ls", "--action", "webhook_redeliver", "--nats-url", natsURL)
	if audited != cli.ExitOK || strings.Count(stdout, "webhook_redeliver") != 4 || !strings.Contains(stdout, "crm") {
		t.Errorf("the audit trail has %s%s", stdout, stderr)
	}
	serve.Stop()
}

// A redelivery that is interrupted waits for the event in progress. It is not called interrupted if that was the last one.
func TestAnInterruptedRedelivery(t *testing.T) {
	t.Parallel()
	serve, r := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir()), testcluster.NewReceiver(t)
	natsURL := serve.NATSURL()
	testcluster.Webhooks(t, natsURL, "add", "crm", r.URL)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "an event is delivered", func() bool { return r.Has(operation) })
	received, release := make(chan struct{}, 10), make(chan struct{})
	r.AnswersWith(func(*http.Request, string) int {
		received <- struct{}{}
		<-release
		return http.StatusOK
	})
	redeliver := testcluster.Start(t, testcluster.Program(t, "clientele"), "webhooks", "redeliver", "crm", "1", "--yes", "--nats-url", natsURL)
	<-received
	redeliver.Signal(os.Interrupt)
	close(release)
	if status := redeliver.Wait(); status != cli.ExitOK || redeliver.Output() != "events delivered: 1\n" || r.Accepted(operation) != 2 {
		t.Errorf("%d: %s; the event was delivered %d times", status, redeliver.Output(), r.Accepted(operation))
	}
	serve.Stop()
}

// A lost consumer continues with the first event that it has not delivered.
func TestALostConsumerContinues(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--no-forward")
	api, natsURL := serve.API(), serve.NATSURL()
	js := testcluster.JetStream(t, natsURL)
	r := testcluster.NewReceiver(t)
	create := func() string {
		t.Helper()
		operation := testcluster.Accepted(t, api, testcluster.Jane, "")
		testcluster.Succeeded(t, api, operation)
		return operation
	}
	forward := func() *testcluster.Process {
		t.Helper()
		p := testcluster.Clientele(t, "forward", "--nats-url", natsURL)
		p.Says("delivering events")
		return p
	}
	early := create()
	testcluster.Webhooks(t, natsURL, "add", "crm", r.URL, "--event-fields=id-only")
	first := forward()
	delivered := create()
	publishertest.Eventually(t, "an event is delivered", func() bool { return r.Has(delivered) })
	first.Stop()
	missed := create()
	if err := js.DeleteConsumer(t.Context(), domain.StreamEvents, "crm"); err != nil {
		t.Fatal(err)
	}

	second := forward()
	publishertest.Eventually(t, "the event is delivered that was published without a consumer", func() bool { return r.Has(missed) })
	if request, body := r.Last(); body != "" || request.Header.Get("Ce-Type") != "client.created" {
		t.Errorf("a consumer that was created again sends %s", body)
	}
	second.Stop()
	if r.Has(early) {
		t.Error("an event was delivered that is older than the webhook")
	}

	// Without a consumer and a position, a webhook begins with the next event.
	testcluster.Webhooks(t, natsURL, "rm", "crm", "--yes")
	consumer, err := subscription.Create(t.Context(), js, subscription.Config{Name: "crm"})
	if err != nil || consumer.CachedInfo().NumPending != 0 {
		t.Error(fmt.Sprint(err), consumer)
	}
	serve.Stop()
}
