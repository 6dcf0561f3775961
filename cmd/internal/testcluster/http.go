package testcluster

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"clientele/publisher/publishertest"

	"github.com/go-json-experiment/json"
)

// TryGet is Get for a server that may be unavailable.
func TryGet(url string) (Reply, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return Reply{}, err
	}
	return RoundTrip(r)
}

// Reply is an answer to an HTTP request.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Object returns the body, which must be a JSON object.
func (r Reply) Object(t testing.TB) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.Body), &object); err != nil {
		t.Fatalf("%s: %v", r.Body, err)
	}
	return object
}

// Get sends a GET request.
func Get(t testing.TB, url string) Reply {
	t.Helper()
	return Do(t, http.MethodGet, url, "", "")
}

// Post sends a create-client request, with an idempotency key unless that is "".
func Post(t testing.TB, api, body, key string) Reply {
	t.Helper()
	return Do(t, http.MethodPost, api+"/api/v2/clients", body, key)
}

// PostAndWait is Post for a caller that waits for the outcome.
func PostAndWait(t testing.TB, api, body, key string) Reply {
	t.Helper()
	return Do(t, http.MethodPost, api+"/api/v2/clients", body, key, "Prefer", "wait=20")
}

// Do sends a request with JSON, and with an idempotency key unless that is "". headers are pairs of name and value.
func Do(t testing.TB, method, url, body, key string, headers ...string) Reply {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	answer, err := RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// RoundTrip sends a request and reads the answer.
func RoundTrip(r *http.Request) (Reply, error) {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return Reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Reply{response.StatusCode, response.Header, string(body)}, err
}

// Operation returns the path of the operation of an accepted request. Unlike Location, it always ends in the id.
func (r Reply) Operation() string {
	path, _, _ := strings.Cut(r.Header.Get("Location"), "?")
	return path
}

// Accepted posts a client and returns the path of its operation. After a 503, which a stall may cause, it tries again, unless that could
// create the client twice.
func Accepted(t testing.TB, api, body, key string) (operation string) {
	t.Helper()
	var r Reply
	publishertest.Eventually(t, "the client is accepted", func() bool {
		r = Post(t, api, body, key)
		return r.Status != http.StatusServiceUnavailable || key == "" && !strings.Contains(r.Body, `"/problems/unavailable"`)
	})
	if r.Status != http.StatusAccepted {
		t.Fatalf("%d: %s", r.Status, r.Body)
	}
	return r.Operation()
}

// Succeeded waits for the operation to succeed and returns the record of its client.
func Succeeded(t testing.TB, api, operation string) (record string) {
	t.Helper()
	var last Reply
	publishertest.Eventually(t, "operation succeeds", func() bool {
		last = Get(t, api+operation)
		return last.Status == http.StatusOK && last.Object(t)["status"] == "succeeded"
	})
	links := last.Object(t)["links"].(map[string]any)
	var client Reply
	publishertest.Eventually(t, "the client can be read", func() bool {
		client = Get(t, api+links["client"].(string))
		return client.Status != http.StatusServiceUnavailable // while the audit trail has no leader
	})
	if client.Status != http.StatusOK {
		t.Fatalf("%d: %s", client.Status, client.Body)
	}
	return client.Body
}

// Metric returns the value of a metric on /metrics, or -1 if it is missing.
func Metric(t *testing.T, admin, name string) float64 {
	t.Helper()
	r := Get(t, admin+"/metrics")
	if r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	match := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(r.Body)
	if match == nil {
		return -1
	}
	value, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
