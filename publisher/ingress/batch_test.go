package ingress_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"clientele/domain"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

const batchPath = "/api/v2/clients/batch"

// lineOf returns a line of a batch, without a key if that is "".
func lineOf(key, client string) string {
	if key == "" {
		return `{"client": ` + client + "}\n"
	}
	return fmt.Sprintf(`{"idempotencyKey": %q, "client": %s}`+"\n", key, client)
}

// result is the result of a line.
type result struct {
	Status     int
	RetryAfter int
	Body       jsontext.Value
}

// isFor reports whether a result is for the same command as another one, whose links can differ if the store is slow.
func (r result) isFor(t *testing.T, other []byte) bool {
	t.Helper()
	o := result{Body: other}
	return r.member(t, "id") == o.member(t, "id") && r.member(t, "acceptedAt") == o.member(t, "acceptedAt")
}

// member returns a member of the body as text.
func (r result) member(t *testing.T, name string) string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(r.Body, &object); err != nil {
		t.Fatalf("%s: %v", r.Body, err)
	}
	return fmt.Sprint(object[name])
}

// results returns the results of a batch, which must be this many.
func (a answer) results(t *testing.T, want int) (results []result) {
	t.Helper()
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != lines || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v: %s", a.Status, a.Header, a.body)
	}
	for line := range strings.Lines(string(a.body)) {
		var r result
		if err := json.Unmarshal([]byte(line), &r, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		results = append(results, r)
	}
	if len(results) != want {
		t.Fatalf("%d results, want %d: %s", len(results), want, a.body)
	}
	return results
}

func (h *harness) batch(body string, headers ...string) answer {
	h.t.Helper()
	return h.request(http.MethodPost, batchPath, body, append(headers, "Content-Type", lines)...)
}

// Each line has the result that its client would have alone.
func TestBatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	single := h.post(jane, "Idempotency-Key", "single")
	other := strings.Replace(jane, "Jane", "Janet", 1)
	padded := jane + strings.Repeat(" ", 64<<10-len(jane))
	stored := h.post(jane, "Idempotency-Key", "stored")
	h.work(uuid.MustParse(stored.object(t)["id"].(string)), details(t))
	cases := []struct {
		line   string
		status int
		member string // of the body
		want   string // in the member
	}{
		{lineOf("", jane), 202, "status", "pending"},
		{lineOf("new", jane), 202, "id", h.log.KeyedID("anonymous", "new").String()},
		{lineOf("single", jane), 202, "id", single.object(t)["id"].(string)},
		{lineOf("single", jane), 202, "acceptedAt", single.object(t)["acceptedAt"].(string)},
		{lineOf("single", other), 422, "type", "/problems/idempotency-key-reused"},
		{lineOf("stored", jane), 202, "acceptedAt", stored.object(t)["acceptedAt"].(string)},
		{lineOf("stored", other), 422, "type", "/problems/idempotency-key-reused"},
		{lineOf("", `{"firstName": "Jane", "lastName": "Smith"}`), 422, "errors", "/emailAddress"},
		{lineOf("", `{"nickname": "J",`+jane[1:]), 422, "errors", "map[detail:is an unknown member pointer:/nickname]"},
		{jane + "\n", 422, "errors", "/firstName"},
		{`{"idempotencyKey": "k"}` + "\n", 422, "errors", "/client"},
		{`{"idempotencyKey": 1, "client": ` + jane + "}\n", 422, "errors", "/idempotencyKey"},
		{`{"idempotencyKey": "", "client": ` + jane + "}\n", 400, "type", "/problems/invalid-idempotency-key"},
		{lineOf(strings.Repeat("k", 256), jane), 400, "type", "/problems/invalid-idempotency-key"},
		{lineOf("schlüssel", jane), 400, "type", "/problems/invalid-idempotency-key"},
		{lineOf("", `{"firstName": nope}`), 400, "offset", "26"},
		{"\n", 400, "type", "/problems/malformed-json"},
		{lineOf("", padded), 202, "status", "pending"},
		{lineOf("", strings.Replace(jane, "}", strings.Repeat(" ", 64<<10)+"}", 1)), 413, "type", "/problems/too-large"},
		{strings.Repeat("x", 1<<20) + "\n", 413, "type", "/problems/too-large"},
		{lineOf("twice", jane), 202, "id", h.log.KeyedID("anonymous", "twice").String()},
		{lineOf("twice", jane), 202, "id", h.log.KeyedID("anonymous", "twice").String()},
		{lineOf("twice", other), 422, "type", "/problems/idempotency-key-reused"},
		{strings.TrimSpace(lineOf("last", jane)), 202, "id", h.log.KeyedID("anonymous", "last").String()},
	}
	var body strings.Builder
	for _, c := range cases {
		body.WriteString(c.line)
	}
	results := h.batch(body.String()).results(t, len(cases))
	for i, c := range cases {
		r := results[i]
		if got := r.member(t, c.member); r.Status != c.status || !strings.Contains(got, c.want) || r.RetryAfter != 0 {
			t.Errorf("%.200s: %d %s, want %d and %s in %s", c.line, r.Status, r.Body, c.status, c.want, c.member)
		}
		if r.Status != http.StatusAccepted && r.member(t, "status") != strconv.Itoa(r.Status) {
			t.Errorf("the problem has another status than the line: %d %s", r.Status, r.Body)
		}
	}
	if !results[2].isFor(t, single.body) {
		t.Errorf("a line: %s, alone: %s", results[2].Body, single.body)
	}
	// A single request under the key of a line is a retry, too.
	if again := h.post(jane, "Idempotency-Key", "new"); !results[1].isFor(t, again.body) {
		t.Errorf("alone: %s, the line: %s", again.body, results[1].Body)
	}
	for _, r := range results {
		if r.Status == http.StatusAccepted {
			h.request(http.MethodGet, "/api/v2/operations/"+r.member(t, "id"), "").object(t)
		}
	}
}

func TestBatchIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, c := range []struct {
		headers []string
		status  int
		problem string
	}{
		{[]string{"Content-Type", "application/json"}, 415, "unsupported-media-type"},
		{[]string{"Content-Type", lines, "Content-Encoding", "gzip"}, 415, "unsupported-media-type"},
		{[]string{"Content-Type", lines, "Accept", "text/html"}, 406, "not-acceptable"},
		{[]string{"Content-Type", lines, "Idempotency-Key", "k"}, 400, "invalid-idempotency-key"},
	} {
		h.request(http.MethodPost, batchPath, lineOf("", jane), c.headers...).problem(t, c.status, c.problem)
	}
	h.request(http.MethodGet, batchPath, "").problem(t, http.StatusMethodNotAllowed, "method-not-allowed")
	for _, accept := range []string{lines, "application/json", "*/*"} {
		h.batch(lineOf("", jane), "Accept", accept).results(t, 1)
	}
	h.batch("").results(t, 0)
	owned, keys := newOwnerHarness(t)
	owned.batch(lineOf("", jane), keys.headers("reader")...).problem(t, http.StatusForbidden, "forbidden")
	owned.batch(lineOf("", jane)).problem(t, http.StatusUnauthorized, "unauthorized")
	owned.batch(lineOf("", jane), keys.headers("owner")...).results(t, 1)
}

// A batch of the most lines keeps their order. One line more is refused, with those after it.
func TestBatchOfTheMostLines(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var body strings.Builder
	for i := range 1000 {
		body.WriteString(lineOf(fmt.Sprint("key-", i), jane))
	}
	complete := h.batch(body.String()).results(t, 1000)
	for i, r := range complete {
		if want := h.log.KeyedID("anonymous", fmt.Sprint("key-", i)).String(); r.Status != http.StatusAccepted || r.member(t, "id") != want {
			t.Fatalf("line %d: %d %s, want %s", i, r.Status, r.Body, want)
		}
	}
	body.WriteString(strings.Repeat(lineOf("too many", jane), 2))
	again := h.batch(body.String()).results(t, 1001)
	for i, r := range complete {
		if !again[i].isFor(t, r.Body) {
			t.Errorf("line %d: a retry: %s, want %s", i, again[i].Body, r.Body)
		}
	}
	if last := again[1000]; last.Status != http.StatusRequestEntityTooLarge || !strings.Contains(last.member(t, "detail"), "1000 lines") {
		t.Errorf("the last result: %d %s", last.Status, last.Body)
	}
	if _, err := h.log.Find(t.Context(), h.log.KeyedID("anonymous", "too many")); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a line too many is on the log: %v", err)
	}
}

// Of different lines under one key, the first wins.
func TestTheFirstLineOfAKeyWins(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var body strings.Builder
	for i := range 50 {
		body.WriteString(lineOf("key", strings.Replace(jane, "Jane", fmt.Sprint("Jane ", i), 1)))
	}
	for i, r := range h.batch(body.String()).results(t, 50) {
		if want := map[bool]int{true: http.StatusAccepted, false: http.StatusUnprocessableEntity}[i == 0]; r.Status != want {
			t.Errorf("line %d: %d %s", i, r.Status, r.Body)
		}
	}
}
