package systemtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receiving starts a serve that delivers nothing itself, with these flags, and a webhook crm to a receiver.
func receiving(t *testing.T, flags ...string) (serve *testcluster.Process, r *testcluster.Receiver) {
	t.Helper()
	serve, r = testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--no-forward"), testcluster.NewReceiver(t)
	testcluster.Webhooks(t, serve.NATSURL(), append([]string{"add", "crm", r.URL}, flags...)...)
	return serve, r
}

func forwarder(t *testing.T, natsURL string) *testcluster.Process {
	t.Helper()
	p := testcluster.Clientele(t, "forward", "--nats-url", natsURL)
	p.Says("delivering events")
	return p
}

// killedPatience is more than the 90 s after which the server delivers the events of a killed process to another one.
const killedPatience = 2 * time.Minute

// Two processes share a webhook. One of them is killed while it delivers, and every event arrives.
func TestForwardersShareAWebhook(t *testing.T) {
	t.Parallel()
	serve, r := receiving(t, "--in-flight=4")
	natsURL := serve.NATSURL()
	first, second := forwarder(t, natsURL), forwarder(t, natsURL)
	operations := append(testcluster.PostTwenty(t, serve.API()), testcluster.PostTwenty(t, serve.API())...)
	publishertest.Eventually(t, "every event is delivered", func() bool { return r.Has(operations...) })
	for _, p := range []*testcluster.Process{first, second} {
		if n := testcluster.Metric(t, p.Admin(), `clientele_webhook_attempts_total{result="delivered",webhook="crm"}`); n < 1 || n >= 40 {
			t.Errorf("a process has delivered %v of 40 events: they do not share the work", n)
		}
	}

	traffic := testcluster.NewTraffic(t, serve.API())
	traffic.AwaitAccepted(50)
	first.Kill()
	traffic.AwaitAccepted(100)
	operations = traffic.Stop()
	if !testcluster.Within(killedPatience, func() bool { return r.Has(operations...) }) {
		t.Error("after a kill, an event is not delivered")
	}
	second.Stop()
	serve.Stop()
}

// A secret is rotated while events are delivered. A receiver with either secret accepts each of them during the overlap, and one with the
// former secret none after it.
func TestRotateASecretUnderTraffic(t *testing.T) {
	t.Parallel()
	serve, r := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir()), testcluster.NewReceiver(t)
	natsURL := serve.NATSURL()
	former := verifier(t, testcluster.Webhooks(t, natsURL, "add", "crm", r.URL))
	var current atomic.Pointer[webhooks.Webhook]
	var wrong, both atomic.Int64
	r.AnswersWith(func(request *http.Request, body string) int {
		now := current.Load()
		if former.Verify([]byte(body), request.Header) != nil {
			wrong.Add(1)
			return http.StatusUnauthorized
		}
		if now != nil && now.Verify([]byte(body), request.Header) == nil {
			both.Add(1)
		}
		return http.StatusOK
	})
	traffic := testcluster.NewTraffic(t, serve.API())
	traffic.AwaitAccepted(20)
	current.Store(verifier(t, testcluster.Webhooks(t, natsURL, "rotate", "crm", "--overlap=1h")))
	publishertest.Eventually(t, "requests have two signatures", func() bool { return both.Load() > 5 })
	operations := traffic.Stop()
	publishertest.Eventually(t, "every event is delivered", func() bool { return r.Has(operations...) })
	if wrong.Load() > 0 {
		t.Errorf("%d requests lack the signature with the former secret", wrong.Load())
	}

	testcluster.Webhooks(t, natsURL, "rotate", "crm", "--overlap=0s")
	publishertest.Eventually(t, "a request lacks the signature with the former secret", func() bool {
		testcluster.RunLine(t, "webhooks", "test", "crm", "--nats-url", natsURL)
		return wrong.Load() > 0
	})
	serve.Stop()
}

func verifier(t *testing.T, secret string) *webhooks.Webhook {
	t.Helper()
	w, err := webhooks.NewWebhook(strings.TrimSpace(secret))
	if err != nil {
		t.Fatalf("%v: %q", err, secret)
	}
	return w
}

// While a receiver fails, it gets single events instead of all of them. When it works again, it gets each.
func TestABreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	serve, r := receiving(t, "--in-flight=10")
	r.Answers(http.StatusServiceUnavailable)
	forward := forwarder(t, serve.NATSURL())
	var operations []string
	for range 5 {
		operations = append(operations, testcluster.PostTwenty(t, serve.API())...)
	}
	forward.Says("only single events are tried")
	publishertest.Eventually(t, "probes", func() bool { return strings.Count(forward.Output(), "again_in") > 11 })
	if n := r.Requests(); n > 30 {
		t.Errorf("the receiver that fails has received %d requests", n)
	}
	r.Answers(http.StatusOK)
	forward.Says("a webhook works again")
	publishertest.Eventually(t, "every event is delivered", func() bool { return r.Has(operations...) })

	// What was received and not tried went back once. If that counted as several attempts, the next one would be too late.
	failed, attempts := map[uint64]uint64{}, map[uint64]uint64{}
	publishertest.Eventually(t, "every failure is recorded", func() bool {
		clear(failed)
		lines := strings.Split(strings.TrimSpace(testcluster.Webhooks(t, serve.NATSURL(), "deliveries", "crm", "--failed", "--json")), "\n")
		for _, line := range lines {
			var d endpoint.Delivery
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			failed[d.Event]++
			attempts[d.Event] = max(attempts[d.Event], d.Attempt)
		}
		return len(lines) == strings.Count(forward.Output(), "again_in")
	})
	for event, attempt := range attempts {
		if attempt > failed[event]+1 {
			t.Errorf("event %d has failed %d times, and counts %d attempts", event, failed[event], attempt)
		}
	}
	forward.Stop()
	serve.Stop()
}

// A webhook that fails for too long is disabled. After it is resumed, every event arrives.
func TestADisabledWebhookLosesNothing(t *testing.T) {
	t.Parallel()
	serve, r := receiving(t, "--disable-after=1s", "--give-up-after=1s")
	natsURL := serve.NATSURL()
	r.Answers(http.StatusServiceUnavailable)
	forward := forwarder(t, natsURL)
	operations := testcluster.PostTwenty(t, serve.API())
	forward.Says("disabled a webhook")
	publishertest.Eventually(t, "the metric", func() bool {
		return testcluster.Metric(t, forward.Admin(), `clientele_webhook_disabled{webhook="crm"}`) == 1
	})
	publishertest.Eventually(t, "status reports it", func() bool {
		status, stdout, _ := testcluster.RunLine(t, "status", "--nats-url", natsURL, "--data-dir", dataDirOf(serve))
		return status == cli.ExitUnhealthy && strings.Contains(stdout, "webhook crm") && strings.Contains(stdout, "clientele webhooks resume crm")
	})
	if out := testcluster.Webhooks(t, natsURL, "ls"); !strings.Contains(out, "disabled") || !strings.Contains(out, "503 Service Unavailable") {
		t.Errorf("%s", out)
	}
	requests := r.Requests()
	later := testcluster.PostTwenty(t, serve.API())
	for _, operation := range later {
		testcluster.Succeeded(t, serve.API(), operation)
	}
	if n := r.Requests(); n != requests {
		t.Errorf("a disabled webhook has received %d requests", n-requests)
	}
	r.Answers(http.StatusOK)
	testcluster.Webhooks(t, natsURL, "resume", "crm")
	publishertest.Eventually(t, "every event is delivered", func() bool { return r.Has(append(operations, later...)...) })
	if out := testcluster.Webhooks(t, natsURL, "deliveries", "crm", "--given-up"); out != "" {
		t.Errorf("an outage gave up %s", out)
	}
	forward.Stop()
	serve.Stop()
}

func dataDirOf(serve *testcluster.Process) string {
	for i, arg := range serve.Cmd.Args {
		if arg == "--data-dir" {
			return serve.Cmd.Args[i+1]
		}
	}
	return ""
}

// A webhook is added, paused, resumed, changed and removed while a process delivers.
func TestWebhooksChangeWhileAProcessDelivers(t *testing.T) {
	t.Parallel()
	serve, r, other := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir()), testcluster.NewReceiver(t), testcluster.NewReceiver(t)
	api, natsURL := serve.API(), serve.NATSURL()
	create := func() string {
		t.Helper()
		operation := testcluster.Accepted(t, api, testcluster.Jane, "")
		testcluster.Succeeded(t, api, operation)
		return operation
	}
	testcluster.Webhooks(t, natsURL, "add", "crm", r.URL)
	first := create()
	publishertest.Eventually(t, "an event is delivered", func() bool { return r.Has(first) })

	testcluster.Webhooks(t, natsURL, "pause", "crm")
	serveStopsDelivering(t, serve)
	waiting := create()
	if out := testcluster.Webhooks(t, natsURL, "test", "crm"); !strings.HasPrefix(out, "200 OK after ") {
		t.Errorf("a test of a paused webhook: %s", out)
	}
	if r.Has(waiting) {
		t.Error("a paused webhook has received an event")
	}
	testcluster.Webhooks(t, natsURL, "resume", "crm")
	publishertest.Eventually(t, "the event that waited is delivered", func() bool { return r.Has(waiting) })

	testcluster.Webhooks(t, natsURL, "set", "crm", "--url", other.URL)
	publishertest.Eventually(t, "events reach the new URL", func() bool { return other.Has(create()) })

	testcluster.Webhooks(t, natsURL, "rm", "crm", "--yes")
	if out := testcluster.Webhooks(t, natsURL, "ls"); out != "" {
		t.Errorf("after rm: %s", out)
	}
	js := testcluster.JetStream(t, natsURL)
	publishertest.Eventually(t, "its consumer stays removed", func() bool {
		_, err := js.Consumer(t.Context(), "CLIENT_EVENTS", "crm")
		return err != nil && testcluster.Metric(t, serve.Admin(), `clientele_webhook_disabled{webhook="crm"}`) == -1
	})
	serve.Stop()
	if strings.Contains(serve.Output(), "cannot receive the events of a webhook") {
		t.Errorf("serve warns of the removed webhook: %s", serve.Output())
	}
}

// A receiver that does not answer does not keep serve from stopping.
func TestStopDoesNotWaitForAReceiver(t *testing.T) {
	t.Parallel()
	received, release := make(chan struct{}, 10), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		received <- struct{}{}
		<-release
	}))
	t.Cleanup(receiver.Close)
	t.Cleanup(func() { close(release) })
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	testcluster.Webhooks(t, serve.NATSURL(), "add", "crm", receiver.URL)
	testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	<-received
	serve.Stop() // within --shutdown-timeout, 20 s, or else its exit status is 1
}

// serveStopsDelivering waits until no process fetches the events of crm.
func serveStopsDelivering(t *testing.T, serve *testcluster.Process) {
	t.Helper()
	js := testcluster.JetStream(t, serve.NATSURL())
	publishertest.Eventually(t, "no process fetches events", func() bool {
		consumer, err := js.Consumer(t.Context(), "CLIENT_EVENTS", "crm")
		return err == nil && consumer.CachedInfo().NumWaiting == 0
	})
}

// A restored backup has the webhooks with their secrets.
func TestABackupHasTheWebhooks(t *testing.T) {
	t.Parallel()
	from, to, backup := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "backup")
	r := testcluster.NewReceiver(t)
	serve := testcluster.Clientele(t, "serve", "--data-dir", from)
	secret := verifier(t, testcluster.Webhooks(t, serve.NATSURL(), "add", "crm", r.URL))
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "an event is delivered", func() bool { return r.Has(operation) })
	publishertest.Eventually(t, "the delivery is recorded", func() bool {
		return strings.Contains(testcluster.Webhooks(t, serve.NATSURL(), "deliveries", "crm"), "delivered")
	})
	run := func(args ...string) {
		t.Helper()
		if status, stdout, stderr := testcluster.RunLine(t, args...); status != cli.ExitOK {
			t.Fatalf("%v: %d: %s%s", args, status, stdout, stderr)
		}
	}
	run("backup", backup, "--data-dir", from)
	serve.Stop()
	run("restore", backup, "--data-dir", to)

	restored := testcluster.Clientele(t, "serve", "--data-dir", to)
	if out := testcluster.Webhooks(t, restored.NATSURL(), "deliveries", "crm"); !strings.Contains(out, "delivered") {
		t.Errorf("%s", out)
	}
	r.AnswersWith(func(request *http.Request, body string) int {
		if err := secret.Verify([]byte(body), request.Header); err != nil {
			t.Errorf("the restored webhook signs with another secret: %v", err)
			return http.StatusUnauthorized
		}
		return http.StatusOK
	})
	later := testcluster.Accepted(t, restored.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "the restored webhook delivers", func() bool { return r.Has(later) })
	restored.Stop()
}

// The bucket, which a backup copies, has no readable secret and no client data except ids.
func TestTheBucketHasNoSecrets(t *testing.T) {
	t.Parallel()
	serve, r := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir()), testcluster.NewReceiver(t)
	secret := strings.TrimSpace(testcluster.Webhooks(t, serve.NATSURL(), "add", "crm", r.URL))
	r.Answers(http.StatusUnprocessableEntity)
	testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "a failure is recorded", func() bool {
		return strings.Contains(testcluster.Webhooks(t, serve.NATSURL(), "deliveries", "crm", "--failed"), "422")
	})
	var content strings.Builder
	for _, msg := range testcluster.Messages(t, serve.NATSURL(), "KV_CLIENT_WEBHOOKS") {
		content.WriteString(msg.Subject + " " + string(msg.Data) + "\n")
	}
	all := content.String()
	if !strings.Contains(all, "endpoint.crm") || !strings.Contains(all, "deliveries.crm") {
		t.Fatalf("the bucket has %s", all)
	}
	for _, secret := range []string{strings.TrimPrefix(secret, "whsec_"), "Jane", "Smith", "jsmith"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in the bucket: %s", secret, all)
		}
	}
	serve.Stop()
}
