package console_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"
	"clientele/publisher/subscription"

	"github.com/go-json-experiment/json"
)

// addWebhook adds a webhook, which gives up refused events soon.
func (h *harness) addWebhook(receiver string, flags ...string) {
	h.t.Helper()
	testcluster.Webhooks(h.t, h.serve.NATSURL(), append([]string{"add", "crm", receiver + "/secret-path", "--give-up-after=1s"}, flags...)...)
}

// refused creates clients whose events the receiver refuses until they are given up, and returns the ids and the sequences.
func (h *harness) refused(r *testcluster.Receiver, n int) (ids, events []string) {
	h.t.Helper()
	r.Answers(http.StatusUnprocessableEntity)
	for range n {
		ids = append(ids, h.created(""))
	}
	var page string
	publishertest.Eventually(h.t, "they are given up", func() bool {
		page = h.get("/webhooks/crm", http.StatusOK)
		return strings.Contains(page, "Redeliver all "+strconv.Itoa(n)) && strings.Count(page, "<td>given up</td>") == n // recorded later
	})
	page, _, _ = strings.Cut(page, "Last deliveries")
	for _, match := range regexp.MustCompile(`<button name="event" value="(\d+)"`).FindAllStringSubmatch(page, -1) {
		events = append(events, match[1])
	}
	return ids, events
}

// webhookActions are the paths of what an operator does with a webhook.
var webhookActions = []string{"pause", "resume", "test", "redeliver", "given-up/confirm", "given-up/redeliver"}

// An operator tests a webhook that refuses, and redelivers what was given up once the receiver is corrected. Each action is recorded.
func TestAWebhookThatRefuses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := testcluster.NewReceiver(t)
	h.addWebhook(r.URL)
	contains(t, h.get("/webhooks/crm", http.StatusOK), "given-up-title\">Given up and not redelivered: 0", "None in the last seven days.")
	ids, events := h.refused(r, 3)
	contains(t, h.get("/", http.StatusOK), `<a href="/webhooks/crm">crm</a>`)

	page := h.get("/webhooks/crm", http.StatusOK)
	contains(t, page, "<strong>active</strong>", "<dd>"+strings.TrimPrefix(r.URL, "http://")+"</dd>", "Given up and not redelivered: 3",
		"the receiver responded with 422 Unprocessable Entity", "<td>given up</td>", `<a href="/operations?id=`+ids[0]+`">`, "clientele webhooks add",
		"<dt>Disable after</dt><dd>5 days</dd>", "at most 16 requests")
	if strings.Contains(page, "secret-path") || strings.Contains(page, "whsec_") || strings.Contains(page, "Smith") || strings.Contains(page, "style=") {
		t.Errorf("secret or personal data, or an inline style: %s", page)
	}
	refuses := "was not delivered: the receiver responded with 422 Unprocessable Entity, after "
	contains(t, h.post("/webhooks/crm/test", nil).Body, "The test event "+refuses)
	contains(t, h.post("/webhooks/crm/redeliver", url.Values{"event": {events[0]}}).Body, "Event "+events[0]+" "+refuses)
	contains(t, h.redelivered("3"), "0 of 3 delivered", "3 not delivered", "Not delivered</h2>", `<a href="/operations?id=`+ids[1]+`">`, "422 Unprocessable Entity", "Finished.")

	r.Answers(http.StatusOK)
	contains(t, h.post("/webhooks/crm/test", nil).Body, "The test event was delivered: the receiver responded with 200 OK after ")
	contains(t, h.post("/webhooks/crm/redeliver", url.Values{"event": {events[0]}}).Body, "Event "+events[0]+" was delivered", "not redelivered: 2")
	contains(t, h.post("/webhooks/crm/redeliver", url.Values{"event": {"4711"}}).Body, "Event 4711 has expired, or its client was erased. Nothing")
	late := h.post("/webhooks/crm/given-up/redeliver", url.Values{"count": {"3"}})
	if late.Status != http.StatusConflict {
		t.Errorf("%d: %s", late.Status, late.Body)
	}
	contains(t, late.Body, "you confirmed 3, but 2 are given up now", "Redeliver 2 events to webhook crm?")
	contains(t, h.redelivered("2"), "2 of 2 delivered", "Finished.", `<a href="/webhooks/crm">Back to webhook crm</a>`)
	contains(t, h.post("/webhooks/crm/given-up/redeliver", url.Values{"count": {"2"}}).Body, "no event is given up any more")
	if !r.Has(ids...) || r.Accepted(ids[0])+r.Accepted(ids[1])+r.Accepted(ids[2]) != 3 {
		t.Errorf("the receiver lacks an event, or has one twice")
	}
	contains(t, h.get("/webhooks/crm", http.StatusOK), "not redelivered: 0", ">Redeliver 2</a>")
	publishertest.Eventually(t, "the records of the deliveries", func() bool {
		return strings.Count(h.get("/webhooks/crm", http.StatusOK), "<td>delivered</td>") == 4
	})
	failed := h.get("/webhooks/crm?failed=true", http.StatusOK)
	if contains(t, failed, "<td>failed</td>", "<td>given up</td>", "Show all"); strings.Contains(failed, "<td>delivered</td>") {
		t.Errorf("a success: %s", failed)
	}
	h.checkWebhookRecords()
}

// An operator who has corrected a receiver does not wait for the next attempt, which can be five minutes away.
func TestAWebhookIsTriedAgainNow(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := testcluster.NewReceiver(t)
	testcluster.Webhooks(t, h.serve.NATSURL(), "add", "crm", r.URL)
	r.Answers(http.StatusServiceUnavailable)
	var ids []string
	for range 20 {
		ids = append(ids, h.created(""))
	}
	publishertest.Eventually(t, "the failure", func() bool {
		return regexpMatch(h.get("/webhooks/crm", http.StatusOK), "Service Unavailable</dd>(?s:.*)Try again now")
	})
	r.Answers(http.StatusOK)
	if answer := h.post("/webhooks/crm/resume", nil); answer.Status != http.StatusSeeOther {
		t.Fatalf("%d: %s", answer.Status, answer.Body)
	}
	publishertest.Eventually(t, "all are delivered", func() bool { return r.Has(ids...) })
	publishertest.Eventually(t, "nothing to resume", func() bool { return !regexpMatch(h.get("/webhooks/crm", http.StatusOK), "Try again now") })
}

// redelivered redelivers all events that were given up, and returns the page of the finished job.
func (h *harness) redelivered(number string) string {
	h.t.Helper()
	asked := h.post("/webhooks/crm/given-up/confirm", nil)
	contains(h.t, asked.Body, "Redeliver "+number+" events to webhook crm?", "Redeliver "+number+"</button>")
	done := h.post("/webhooks/crm/given-up/redeliver", hidden(h.t, asked.Body, "/webhooks/crm/given-up/redeliver"))
	if done.Status != http.StatusSeeOther {
		h.t.Fatalf("%d: %s", done.Status, done.Body)
	}
	return h.finished(done.Header.Get("Location"))
}

// checkWebhookRecords checks the records of TestAWebhookThatRefuses: a start and an end of each action.
func (h *harness) checkWebhookRecords() {
	h.t.Helper()
	tests, redeliveries := h.records(endpoint.AuditTest), h.records(endpoint.AuditRedeliver)
	if len(tests) != 4 || tests[1].Result != domain.AuditFailed || tests[3].Result != domain.AuditSucceeded {
		h.t.Errorf("%+v", tests)
	}
	var results []domain.AuditResult
	var counts []int64
	for _, r := range append(redeliveries, tests...) {
		if r.Actor.Kind != domain.AuditOperator || r.Actor.Name != "anonymous" || r.Address != "127.0.0.1" || r.Target != "crm" {
			h.t.Errorf("%+v", r)
		}
		results, counts = append(results, r.Result), append(counts, r.Count)
	}
	for i, want := range []struct {
		result domain.AuditResult
		count  int64
	}{{"started", 1}, {"failed", 0}, {"started", 3}, {"failed", 0}, {"started", 1}, {"succeeded", 1}, {"started", 1}, {"succeeded", 0}, {"started", 2}, {"succeeded", 2}} {
		if len(redeliveries) != 10 || results[i] != want.result || counts[i] != want.count {
			h.t.Errorf("%v %v", results, counts)
		}
	}
}

// A viewer sees a webhook and no buttons, and the server refuses what they do. An operator pauses it, so that events wait, and resumes it.
func TestPauseAWebhook(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	operator, viewer := testcluster.NewKey(t, file, "jo", "operator,clients:write"), testcluster.NewKey(t, file, "vi", "operator:read")
	h := newHarness(t, "--keys-file", file)
	r := testcluster.NewReceiver(t)
	h.addWebhook(r.URL)
	h.token = viewer
	if page := h.get("/webhooks/crm", http.StatusOK); strings.Contains(page, "<button") || strings.Contains(page, "<form") {
		t.Errorf("a viewer can act: %s", page)
	}
	for _, action := range webhookActions {
		if r := h.post("/webhooks/crm/"+action, url.Values{"event": {"1"}, "count": {"0"}}); r.Status != http.StatusForbidden {
			t.Errorf("%s: %d", action, r.Status)
		}
	}
	if n := r.Requests(); n != 0 {
		t.Errorf("the receiver has %d requests", n)
	}

	h.token = operator
	h.leads("/webhooks/crm/pause", "/webhooks/crm")
	page := h.get("/webhooks/crm", http.StatusOK)
	if contains(t, page, "<strong>paused</strong>", "/webhooks/crm/resume"); strings.Contains(page, "/webhooks/crm/pause") {
		t.Errorf("a paused webhook can be paused: %s", page)
	}
	publishertest.Eventually(t, "the forwarder asks for no events", func() bool {
		consumer, err := h.jetStream().Consumer(t.Context(), domain.StreamEvents, "crm")
		return err == nil && consumer.CachedInfo().NumWaiting == 0
	})
	id := h.created("", "Authorization", "Bearer "+operator)
	publishertest.Eventually(t, "the event waits", func() bool { return regexpMatch(h.get("/webhooks/crm", http.StatusOK), "<dd>1 event</dd>") })
	contains(t, h.post("/webhooks/crm/test", nil).Body, "responded with 200 OK") // even then
	if r.Has(id) {
		t.Error("a paused webhook receives events")
	}
	h.leads("/webhooks/crm/resume", "/webhooks/crm")
	contains(t, h.get("/webhooks/crm", http.StatusOK), "<strong>active</strong>", "/webhooks/crm/pause")
	publishertest.Eventually(t, "the event", func() bool { return r.Has(id) })
	for _, action := range []domain.AuditAction{endpoint.AuditPause, endpoint.AuditResume} {
		records := h.records(action)
		if len(records) != 2 || records[1].Result != domain.AuditSucceeded || records[0].Actor.Name != "jo" || records[0].Address != "127.0.0.1" || records[0].Target != "crm" {
			t.Errorf("%s: %+v", action, records)
		}
	}
}

// leads checks that a form leads to a page.
func (h *harness) leads(action, page string) {
	h.t.Helper()
	if r := h.post(action, nil); r.Status != http.StatusSeeOther || r.Header.Get("Location") != page {
		h.t.Errorf("%s: %d: %s", action, r.Status, r.Body)
	}
}

// A second request to redeliver leads to the job that runs. A job can be stopped: the event in progress is delivered, and the others stay
// given up.
func TestOneRedeliveryAtATime(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := testcluster.NewReceiver(t)
	h.addWebhook(r.URL, "--in-flight=1")
	ids, _ := h.refused(r, 2)
	received, release := make(chan struct{}, 10), make(chan struct{})
	r.AnswersWith(func(*http.Request, string) int {
		received <- struct{}{}
		<-release
		return http.StatusOK
	})
	first := h.post("/webhooks/crm/given-up/redeliver", url.Values{"count": {"2"}}).Header.Get("Location")
	second := h.post("/webhooks/crm/given-up/redeliver", url.Values{"count": {"2"}}).Header.Get("Location")
	if first == "" || first != second {
		t.Errorf("jobs %q and %q", first, second)
	}
	<-received
	contains(t, h.get(first, http.StatusOK), "Working…", "<h1>Redeliver given-up events</h1>")
	contains(t, h.get("/webhooks/crm", http.StatusOK), ">Redeliver 2</a>, begun", ", running")
	if page := h.get("/rejections", http.StatusOK); strings.Contains(page, first) {
		t.Errorf("the page about rejections lists the job: %s", page)
	}
	h.leads(first+"/stop", first)
	if page := h.get(first, http.StatusOK); !strings.Contains(page, "Stopping after those in progress…") || strings.Contains(page, first+"/stop") {
		t.Errorf("the page of a stopped job with an event in progress: %s", page)
	}
	contains(t, h.get("/webhooks/crm", http.StatusOK), ", stopping")
	close(release)
	contains(t, h.finished(first), "1 of 2 delivered", "Stopped; the others are unchanged.")
	contains(t, h.get("/webhooks/crm", http.StatusOK), "not redelivered: 1")
	if n := r.Accepted(ids[0]) + r.Accepted(ids[1]); n != 1 {
		t.Errorf("%d events are delivered", n)
	}
}

// Of requests that arrive at once, one starts a job, so that no event is sent twice. The others lead to that job, or find no event.
func TestRequestsToRedeliverAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := testcluster.NewReceiver(t)
	h.addWebhook(r.URL)
	ids, _ := h.refused(r, 2)
	r.Answers(http.StatusOK)
	replies := make([]testcluster.Reply, 16)
	var requests sync.WaitGroup
	for i := range replies {
		requests.Go(func() { replies[i] = h.post("/webhooks/crm/given-up/redeliver", url.Values{"count": {"2"}}) })
	}
	requests.Wait()
	jobs := map[string]bool{}
	for _, reply := range replies {
		if job := reply.Header.Get("Location"); reply.Status == http.StatusSeeOther {
			jobs[job] = true
			contains(t, h.finished(job), "2 of 2 delivered")
		} else if reply.Status != http.StatusConflict {
			t.Errorf("%d: %s", reply.Status, reply.Body)
		}
	}
	if first, second := r.Accepted(ids[0]), r.Accepted(ids[1]); len(jobs) != 1 || first != 1 || second != 1 {
		t.Errorf("%d jobs; the events were delivered %d and %d times", len(jobs), first, second)
	}
}

// A receiver that does not respond to a test, while another process delivers, does not keep the process of the console from stopping.
func TestStopDuringATest(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "--no-forward")
	r := testcluster.NewReceiver(t)
	h.addWebhook(r.URL)
	testcluster.Clientele(t, "forward", "--nats-url", h.serve.NATSURL()).Says("delivering events")
	received, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	r.AnswersWith(func(*http.Request, string) int {
		close(received)
		<-release
		return http.StatusOK
	})
	replies := make(chan testcluster.Reply, 1)
	go func() {
		defer close(replies)
		replies <- h.post("/webhooks/crm/test", nil)
	}()
	<-received
	h.serve.Stop() // within --shutdown-timeout, 20 s, or else its exit status is 1
	if reply := <-replies; reply.Status != http.StatusServiceUnavailable || !strings.Contains(reply.Body, "This process is stopping") {
		t.Errorf("%d: %s", reply.Status, reply.Body)
	}
}

// What is not possible is refused, and the page says why.
func TestWebhookActionsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "--no-forward")
	h.get("/webhooks/crm", http.StatusNotFound)
	for _, action := range webhookActions {
		if r := h.post("/webhooks/crm/"+action, url.Values{"event": {"1"}, "count": {"0"}}); r.Status != http.StatusNotFound {
			t.Errorf("%s: %d: %s", action, r.Status, r.Body)
		}
	}
	h.addWebhook("http://127.0.0.1:9")
	for path, form := range map[string]url.Values{
		"redeliver": {"event": {"0"}}, "redeliver?": {"event": {"last"}}, "given-up/redeliver": {},
	} {
		if r := h.post("/webhooks/crm/"+path, form); r.Status != http.StatusBadRequest {
			t.Errorf("%s %v: %d", path, form, r.Status)
		}
	}
	unanswered := h.post("/webhooks/crm/test", nil)
	if contains(t, unanswered.Body, "start clientele serve or clientele forward"); unanswered.Status != http.StatusServiceUnavailable {
		t.Errorf("%d", unanswered.Status)
	}
	h.created("")
	if _, err := h.jetStream().Publish(t.Context(), streams.WebhookKeys+"endpoint.crm", []byte("unreadable")); err != nil {
		t.Fatal(err)
	}
	contains(t, h.get("/webhooks/crm", http.StatusOK), "<strong>disabled</strong>", "/webhooks/crm/resume")
	contains(t, h.post("/webhooks/crm/redeliver", url.Values{"event": {"1"}}).Body, "start clientele serve or clientele forward")
	if r := h.post("/webhooks/crm/pause", nil, "Sec-Fetch-Site", "cross-site"); r.Status != http.StatusForbidden {
		t.Errorf("a page of another site: %d", r.Status)
	}
	if records := h.records(endpoint.AuditPause); len(records) != 0 {
		t.Errorf("%+v", records)
	}
}

// Of many events and deliveries, the newest are listed, and all events are counted.
func TestTheNewestAreListed(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "--no-forward")
	h.addWebhook("http://127.0.0.1:9")
	js := h.jetStream()
	var deliveries []endpoint.Delivery
	for i := range uint64(250) {
		at := time.Now().UTC()
		body, err := json.Marshal(subscription.Undelivered{Attempts: 10, Reason: "refused", Time: at})
		if err == nil { // as subscription.Record, without waiting for each
			_, err = js.PublishAsync(domain.SubjectUndelivered+"crm."+strconv.FormatUint(i+1, 10), body)
		}
		if err != nil {
			t.Fatal(err)
		}
		deliveries = append(deliveries, endpoint.Delivery{Time: at, Event: i + 1, Type: "client.created", Attempt: 1, Result: endpoint.Failed})
	}
	<-js.PublishAsyncComplete()
	bucket, err := endpoint.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	for few := range slices.Chunk(deliveries, 25) {
		if err := bucket.Record(t.Context(), "crm", few); err != nil {
			t.Fatal(err)
		}
	}
	page := h.get("/webhooks/crm", http.StatusOK)
	contains(t, page, "not redelivered: 250", "Redeliver all 250", "The newest 100:")
	for i, table := range strings.Split(page, "Last deliveries") {
		events := regexp.MustCompile(`name="event" value="(\d+)"`).FindAllStringSubmatch(table, -1)
		if len(events) != 100 || events[0][1] != "250" || events[99][1] != "151" {
			t.Errorf("table %d lists %v", i, events)
		}
	}
}
