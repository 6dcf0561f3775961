package console_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// An operator pauses and resumes the workers, which is recorded under the operator's name. A viewer sees the pause only.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	operator, viewer := testcluster.NewKey(t, file, "jo", "operator"), testcluster.NewKey(t, file, "vi", "operator:read")
	h := newHarness(t, "--keys-file", file)
	h.token = viewer
	publishertest.Eventually(t, "this process", func() bool {
		return regexpMatch(h.get("/", http.StatusOK), `<th scope="row">serve</th>(?s:.*)<td class="wrap">ready`)
	})
	if page := h.get("/", http.StatusOK); regexpMatch(page, "Pause the workers") {
		t.Errorf("a viewer can pause: %s", page)
	}
	for _, path := range []string{"/workers/pause", "/workers/resume"} {
		if r := h.post(path, url.Values{"for": {"1h"}}); r.Status != http.StatusForbidden {
			t.Errorf("%s: %d", path, r.Status)
		}
	}

	h.token = operator
	contains(t, h.get("/", http.StatusOK), "Pause the workers")
	for _, length := range []string{"", "0s", "25h", "long"} {
		if r := h.post("/workers/pause", url.Values{"for": {length}}); r.Status != http.StatusBadRequest {
			t.Errorf("%q: %d", length, r.Status)
		}
	}
	if r := h.post("/workers/pause", url.Values{"for": {"1h"}, "reason": {"a\tdisk"}}); r.Status != http.StatusBadRequest {
		t.Errorf("a reason with a tab: %d", r.Status)
	}
	if r := h.post("/workers/pause", url.Values{"for": {"1h"}, "reason": {"a new disk"}}); r.Status != http.StatusSeeOther {
		t.Fatalf("%d: %s", r.Status, r.Body)
	}
	publishertest.Eventually(t, "the pause", func() bool {
		return regexpMatch(h.get("/", http.StatusOK), "The workers are paused</strong> until .* by jo: a new disk")
	})
	if records := h.records(domain.AuditPause); len(records) != 2 || records[0].Actor.Name != "jo" || records[0].Address != "127.0.0.1" {
		t.Errorf("%+v", records)
	}
	if r := h.post("/workers/resume", nil); r.Status != http.StatusSeeOther {
		t.Fatalf("%d: %s", r.Status, r.Body)
	}
	publishertest.Eventually(t, "the end of the pause", func() bool { return !regexpMatch(h.get("/", http.StatusOK), "are paused") })
	if records := h.records(domain.AuditResume); len(records) != 2 || records[1].Actor.Name != "jo" {
		t.Errorf("%+v", records)
	}
}
