package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

func regexpMatch(text, expression string) bool {
	return regexp.MustCompile(expression).MatchString(text)
}

// The story of a client is found by its id, and by its caller and idempotency key.
func TestStoryOfAClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.created("onboarding-4712", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	found := h.post("/operations/find", url.Values{"caller": {"anonymous"}, "key": {"onboarding-4712"}})
	if at := found.Header.Get("Location"); found.Status != http.StatusSeeOther || at != "/operations?id="+id {
		t.Fatalf("%d %s", found.Status, at)
	}
	var page string
	publishertest.Eventually(t, "the event, and the ack floor", func() bool {
		page = h.get("/operations?id="+id, http.StatusOK)
		return regexpMatch(page, `client.created, sequence 1`) && regexpMatch(page, "a worker has finished it")
	})
	contains(t, page, "<strong>succeeded</strong>", "anonymous", "sequence 1,", "Show personal data")
	h.get("/operations?id="+publishertest.NewID(t).String(), http.StatusNotFound)
	h.get("/operations?id=not-an-id", http.StatusNotFound)
	h.get("/operations", http.StatusOK)
	if r := h.post("/operations/find", url.Values{"caller": {"anonymous"}}); r.Status != http.StatusBadRequest {
		t.Errorf("without a key: %d", r.Status)
	}
}

// The story of a client says what a webhook has received.
func TestStoryOfADelivery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHarness(t, "--data-dir", dir)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	accepts := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(refuses.Close)
	t.Cleanup(accepts.Close)
	for name, url := range map[string]string{"crm": accepts.URL, "broken": refuses.URL} {
		if status, stdout, stderr := testcluster.RunLine(t, "webhooks", "add", name, url, "--data-dir", dir); status != 0 {
			t.Fatal(stdout, stderr)
		}
	}
	id := h.created("")
	publishertest.Eventually(t, "both attempts are recorded", func() bool {
		page := h.get("/operations?id="+id, http.StatusOK)
		return regexpMatch(page, `Webhook crm</dt><dd>delivered <time [^>]*>[^<]*</time>, status 200, attempt 1</dd>`) &&
			regexpMatch(page, `Webhook broken</dt><dd>failed <time [^>]*>[^<]*</time>, status 418, attempt \d+: the receiver responded`)
	})
}

// The story of a rejection has its reasons, and personal data only on request.
func TestStoryOfARejection(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := rejection(t, domain.CodeInvalid, "/telephoneNumber")
	r.Command.Headers["Clientele-Retries"] = []string{"2"}
	h.reject(r)
	page := h.get("/operations?id="+r.ID, http.StatusOK)
	contains(t, page, "<strong>rejected</strong>", "tester", "delivered 3 times", "retried by operators 2 times", "<code>/telephoneNumber</code>: must be valid</li>", "4bf92f3577b34da6a3ce929d0e0e4736")
	if regexpMatch(page, "Smith|442079460123") {
		t.Errorf("personal data: %s", page)
	}
	contains(t, h.settled(hidden(t, page, "/rejections/confirm")), "1 of 1 retried")
	testcluster.Succeeded(t, h.serve.API(), "/api/v2/operations/"+r.ID)
}

// NATS reads these ids as patterns. They are not those of another operation.
func TestStoryOfAPattern(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.created("")
	for _, id := range []string{"*", ">"} {
		contains(t, h.get("/operations?id="+url.QueryEscape(id), http.StatusNotFound), "Nothing is known about this operation")
	}
}

// An erased client leaves its tombstone.
func TestStoryOfAnErasedClient(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHarness(t, "--data-dir", dir)
	id := h.created("")
	publishertest.Eventually(t, "the client is erased", func() bool { // once its command is acknowledged
		status, stdout, stderr := testcluster.RunLine(t, "erase", id, "--yes", "--data-dir", dir, "--reason=request 17", "--operator=Jo")
		if status != 0 && !strings.Contains(stderr, "is pending") {
			t.Fatal(stdout, stderr)
		}
		return status == 0
	})
	contains(t, h.get("/operations?id="+id, http.StatusOK), "<strong>erased</strong>", "by Jo: request 17")
}

// Personal data is shown on request only, and that is recorded.
func TestPersonalDataOnRequest(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.created("")
	r := rejection(t, domain.CodeInvalid, "/telephoneNumber")
	h.reject(r)
	for _, c := range []struct {
		id, want string
		action   domain.AuditAction
	}{
		{id, "&#34;lastName&#34;: &#34;Smith&#34;", domain.AuditClientRead},
		{r.ID, "Personal data</h3>", domain.AuditRejectionRead},
	} {
		if n := len(h.records(c.action)); n != 0 {
			t.Errorf("%d reads before", n)
		}
		shown := h.post("/operations/personal", url.Values{"id": {c.id}})
		contains(t, shown.Body, c.want, "Smith")
		records := h.records(c.action)
		if len(records) != 1 || records[0].ClientID.String() != c.id || records[0].Actor.Name != "anonymous" || records[0].Result != domain.AuditSucceeded {
			t.Errorf("%+v", records)
		}
	}
	// What cannot be recorded is not shown.
	if err := h.jetStream().DeleteStream(t.Context(), domain.StreamAudit); err != nil {
		t.Fatal(err)
	}
	if shown := h.post("/operations/personal", url.Values{"id": {id}}); shown.Status != http.StatusServiceUnavailable || regexpMatch(shown.Body, "Smith") {
		t.Errorf("%d: %s", shown.Status, shown.Body)
	}
}
