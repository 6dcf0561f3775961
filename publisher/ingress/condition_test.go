package ingress_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/google/uuid"
)

// unchanged checks that the answer is 304 without a body, and has the headers of the 200.
func (a answer) unchanged(t *testing.T, tag string) {
	t.Helper()
	if a.StatusCode != http.StatusNotModified || len(a.body) > 0 || a.Header.Get("ETag") != tag ||
		a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "" {
		t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
	}
}

// The tag of a client or an operation changes with its content only.
func TestIfNoneMatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.post(jane).object(t)["id"].(string)
	operation, client := "/api/v2/operations/"+id, "/api/v2/clients/"+id
	h.request(http.MethodGet, client, "", "If-None-Match", "*").problem(t, http.StatusNotFound, "not-found")
	pending := h.request(http.MethodGet, operation, "")
	a := h.request(http.MethodGet, operation, "", "If-None-Match", pending.Header.Get("ETag"))
	a.unchanged(t, pending.Header.Get("ETag"))
	if a.Header.Get("Retry-After") == "" || a.Header.Get("Vary") != "Prefer" {
		t.Errorf("headers of a pending operation: %v", a.Header)
	}
	h.work(uuid.MustParse(id), details(t))
	if a := h.request(http.MethodGet, operation, "", "If-None-Match", pending.Header.Get("ETag")); a.StatusCode != http.StatusOK || a.object(t)["status"] != "succeeded" {
		t.Errorf("with the tag of the pending operation: %s: %s", a.Status, a.body)
	}

	// Another ingress has the same tags.
	log, err := publisher.OpenLog(t.Context(), publisher.LogConfig{Conn: h.server.Connect(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	for _, path := range []string{operation, client} {
		full := h.request(http.MethodGet, path, "")
		tag := full.Header.Get("ETag")
		if strings.Contains(tag, id) || full.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %v", path, full.Status, full.Header)
		}
		if want := `"` + log.KeyedID(id, string(full.body)).String() + `"`; tag != want {
			t.Errorf("%s: %s, another ingress %s", path, tag, want)
		}
		for _, same := range [][]string{
			{tag}, {"W/" + tag}, {"*"}, {" * "}, {`"a", ` + tag}, {`"a,b",W/"c" , W/` + tag + ` ,"d"`}, {`"a"`, tag}, {"", tag},
		} {
			headers := []string{}
			for _, value := range same {
				headers = append(headers, "If-None-Match", value)
			}
			h.request(http.MethodGet, path, "", headers...).unchanged(t, tag)
			h.request(http.MethodHead, path, "", headers...).unchanged(t, tag)
		}
		for _, other := range []string{`"a"`, strings.Trim(tag, `"`), "w/" + tag, strings.ToUpper(tag[:1]) + "x" + tag[1:], `"*"`, `"a,*,b"`, `"a", *`, pending.Header.Get("ETag")} {
			if a := h.request(http.MethodGet, path, "", "If-None-Match", other); a.StatusCode != http.StatusOK || string(a.body) != string(full.body) || a.Header.Get("ETag") != tag {
				t.Errorf("%s: If-None-Match: %s: %s %v: %s", path, other, a.Status, a.Header, a.body)
			}
		}
	}
}

// A caller that has seen the pending operation, and waits, receives the outcome, or 304 when the time is over.
func TestIfNoneMatchWaits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := uuid.MustParse(h.post(jane).object(t)["id"].(string))
	path := "/api/v2/operations/" + id.String()
	tag := h.request(http.MethodGet, path, "").Header.Get("ETag")

	began := time.Now()
	a := h.request(http.MethodGet, path, "", "If-None-Match", tag, "Prefer", "wait=1")
	a.unchanged(t, tag)
	if took := time.Since(began); took < time.Second || a.Header.Get("Preference-Applied") != "wait=1" || a.Header.Get("Retry-After") == "" {
		t.Errorf("after %s: %v", took, a.Header)
	}

	nc := h.server.Connect(t)
	answers := make(chan answer)
	go func() { answers <- h.request(http.MethodGet, path, "", "If-None-Match", tag, "Prefer", "wait=30") }()
	h.work(id, details(t))
	var outcome answer
	publishertest.Eventually(t, "the outcome", func() bool { // a notice can precede the wait
		if err := nc.Publish(domain.SubjectCompleted+id.String(), nil); err != nil {
			t.Fatal(err)
		}
		select {
		case outcome = <-answers:
			return true
		default:
			return false
		}
	})
	if outcome.StatusCode != http.StatusOK || outcome.object(t)["status"] != "succeeded" || outcome.Header.Get("ETag") == tag {
		t.Errorf("%s %v: %s", outcome.Status, outcome.Header, outcome.body)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the outcome arrived after %s", took)
	}
	// It has completed: with its tag, there is nothing to wait for.
	h.request(http.MethodGet, path, "", "If-None-Match", outcome.Header.Get("ETag"), "Prefer", "wait=30").unchanged(t, outcome.Header.Get("ETag"))
}
