package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

func TestRejectionsAreGroupedAndFiltered(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	contains(t, h.get("/rejections", http.StatusOK), `<strong id="total">0</strong>`)
	var all []domain.Rejection
	for range 120 {
		all = append(all, rejection(t, domain.CodeInvalid, "/emailAddress", "/address/postcode"))
	}
	all = append(all, rejection(t, domain.CodeUnstorable))
	h.reject(all...)
	page := h.get("/rejections", http.StatusOK)
	contains(t, page, `<strong id="total">121</strong>`, "<code>/address/postcode</code>", "The newest 100", "Drop all 121", all[120].ID, all[21].ID)
	if strings.Contains(page, all[20].ID) || strings.Contains(page, "442079460123") {
		t.Errorf("an older one, or personal data: %s", page)
	}
	for path, want := range map[string]string{
		"/rejections?reason=unstorable":              `<strong id="total">1</strong>`,
		"/rejections?pointer=/emailAddress":          `<strong id="total">120</strong>`,
		"/rejections?caller=tester&since=1h":         `<strong id="total">121</strong>`,
		"/rejections?caller=another":                 `<strong id="total">0</strong>`,
		"/rejections?until=1h":                       `<strong id="total">0</strong>`,
		"/rejections?until=2026-11-23T18%3A00%3A00Z": `<strong id="total">0</strong>`,
	} {
		contains(t, h.get(path, http.StatusOK), want)
	}
	for path, want := range map[string]string{
		"/rejections?pointer=email":   "such as /address/postcode",
		"/rejections?since=yesterday": "neither a time (RFC 3339)",
		"/rejections?reason=whim":     "no rejection has this reason",
	} {
		contains(t, h.get(path, http.StatusBadRequest), want)
	}
}

// finished waits until a job has finished, and returns its page.
func (h *harness) finished(job string) (page string) {
	h.t.Helper()
	publishertest.Eventually(h.t, "the job finishes", func() bool {
		page = h.get(job, http.StatusOK)
		return !strings.Contains(page, "It continues if you leave this page.")
	})
	return page
}

// settled confirms what a form of a page asks for, and returns the page of the finished job.
func (h *harness) settled(form url.Values) string {
	h.t.Helper()
	asked := h.post("/rejections/confirm", form)
	if asked.Status != http.StatusOK {
		h.t.Fatalf("%d: %s", asked.Status, asked.Body)
	}
	done := h.post("/rejections/settle", hidden(h.t, asked.Body, "/rejections/settle"))
	if done.Status != http.StatusSeeOther {
		h.t.Fatalf("%d: %s", done.Status, done.Body)
	}
	return h.finished(done.Header.Get("Location"))
}

// What the filter matches is dropped, and nothing else. Each one is recorded.
func TestDropWhatMatches(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var all []domain.Rejection
	for range 25 {
		all = append(all, rejection(t, domain.CodeInvalid, "/emailAddress"))
	}
	h.reject(append(all, rejection(t, domain.CodeUnstorable))...)
	page := h.settled(url.Values{"do": {"drop-all"}, "reason": {"invalid"}, "since": {"1h"}, "id": {all[0].ID}})
	contains(t, page, "25 of 25 dropped", "Finished.")
	if n := h.rejections(); n != 1 {
		t.Errorf("%d rejections are left", n)
	}
	records := h.records(domain.AuditRejectionDrop)
	if len(records) != 50 { // a start and an end of each
		t.Errorf("%d records", len(records))
	}
	for _, r := range records {
		if r.Actor.Kind != domain.AuditOperator || r.Actor.Name != "anonymous" || r.Address != "127.0.0.1" || r.ClientID.String() == "" {
			t.Errorf("%+v", r)
		}
	}
}

// Retried commands that can be stored become clients.
func TestRetrySelected(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	one, other := rejection(t, domain.CodeUnstorable), rejection(t, domain.CodeUnstorable)
	erased := rejection(t, domain.CodeErased)
	h.reject(one, other, erased)
	page := h.settled(url.Values{"do": {"retry-selected"}, "id": {one.ID, erased.ID, one.ID, "0193"}})
	contains(t, page, "1 of 2 retried", "1 skipped", "its client was erased")
	testcluster.Succeeded(t, h.serve.API(), "/api/v2/operations/"+one.ID)
	if n := h.rejections(); n != 2 {
		t.Errorf("%d rejections are left", n)
	}
	contains(t, h.get("/operations?id="+one.ID, http.StatusOK), "<strong>succeeded</strong>", "retried by operators 1 time")
}

// A number that is no longer true is refused: nothing is done, and the operator is asked again.
func TestAnotherNumberIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	one, other := rejection(t, domain.CodeInvalid), rejection(t, domain.CodeInvalid)
	h.reject(one, other)
	asked := h.post("/rejections/confirm", url.Values{"do": {"drop-all"}})
	contains(t, asked.Body, "Drop 2 rejected commands?", "cannot be undone", "invalid: 2")
	form := hidden(t, asked.Body, "/rejections/settle")

	// A rejection that arrives later does not belong to those that were confirmed.
	h.reject(rejection(t, domain.CodeInvalid))
	h.settled(url.Values{"do": {"drop-selected"}, "id": {one.ID}})
	refused := h.post("/rejections/settle", form)
	if refused.Status != http.StatusConflict || h.rejections() != 2 {
		t.Errorf("%d: %s", refused.Status, refused.Body)
	}
	contains(t, refused.Body, "you confirmed 2, but 1 matches now", "Drop 1 rejected command?")
	again := h.post("/rejections/settle", hidden(t, refused.Body, "/rejections/settle"))
	contains(t, h.finished(again.Header.Get("Location")), "1 of 1 dropped")
	if n := h.rejections(); n != 1 {
		t.Errorf("%d rejections are left", n)
	}
	contains(t, h.post("/rejections/settle", form).Body, "no rejection matches any more")
	for _, form := range []url.Values{
		{"do": {"drop-selected"}}, {"do": {"erase-all"}}, {"do": {"drop-some"}, "id": {one.ID}}, {"do": {"drop-all"}, "since": {"never"}}, {},
	} {
		if r := h.post("/rejections/confirm", form); r.Status != http.StatusBadRequest {
			t.Errorf("%v: %d", form, r.Status)
		}
	}
	if r := h.post("/rejections/settle", url.Values{"do": {"drop-all"}}); r.Status != http.StatusBadRequest || h.rejections() != 1 {
		t.Errorf("without a count: %d", r.Status)
	}
}

// A job can be stopped. The others are unchanged.
func TestStopAJob(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var many []domain.Rejection
	for range 3000 {
		many = append(many, rejection(t, domain.CodeInvalid))
	}
	h.reject(many...)
	asked := h.post("/rejections/confirm", url.Values{"do": {"drop-all"}})
	started := h.post("/rejections/settle", hidden(t, asked.Body, "/rejections/settle"))
	job := started.Header.Get("Location")
	if r := h.post(job+"/stop", nil); r.Status != http.StatusSeeOther {
		t.Fatalf("%d: %s", r.Status, r.Body)
	}
	page := h.finished(job)
	contains(t, page, "Stopped; the others are unchanged.")
	done := regexp.MustCompile(`<strong>([\d,]+) of 3,000 dropped`).FindStringSubmatch(page)
	if done == nil || done[1] == "3,000" || strconv.FormatUint(3000-h.rejections(), 10) != strings.ReplaceAll(done[1], ",", "") {
		t.Errorf("%v, %d are left", done, h.rejections())
	}
	h.get("/jobs/nothing", http.StatusNotFound)
	contains(t, h.get("/rejections", http.StatusOK), `<a href="`+job+`">Drop 3,000</a>`, done[1]+" dropped")
}
