package console_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"clientele/publisher/publishertest"

	"github.com/go-json-experiment/json"
)

// events reads server-sent events: their names and data.
type events struct {
	t    *testing.T
	body io.ReadCloser
	scan *bufio.Scanner
}

func (h *harness) live() *events {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+"/live", http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.token != "" {
		r.Header.Set("Authorization", "Bearer "+h.token)
	}
	response, err := http.DefaultTransport.RoundTrip(r) // without a timeout
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatal(response.Status, response.Header)
	}
	scan := bufio.NewScanner(response.Body)
	scan.Buffer(nil, 1<<20)
	return &events{h.t, response.Body, scan}
}

// next returns the next event, or "" after the end.
func (e *events) next() (name, data string) {
	for e.scan.Scan() {
		line := e.scan.Text()
		if text, ok := strings.CutPrefix(line, "event: "); ok {
			name = text
		} else if text, ok := strings.CutPrefix(line, "data: "); ok {
			data += text + "\n"
		} else if line == "" && name != "" {
			return name, data
		}
	}
	return "", ""
}

func TestLive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	live := h.live()
	name, data := live.next()
	var chart [3][]float64
	if err := json.Unmarshal([]byte(data), &chart); name != "history" || err != nil || len(chart[0]) != len(chart[2]) {
		t.Fatalf("%s: %s (%v)", name, data, err)
	}
	id := ""
	seen := map[string]bool{}
	began := time.Now()
	// Longer than the server's time limit for reading a request, which must not end the stream.
	for time.Since(began) < 17*time.Second || !seen["status with the event"] || !seen["a rate"] {
		name, data = live.next()
		switch {
		case name == "":
			t.Fatalf("the stream has ended after %s", time.Since(began))
		case name == "status" && id == "":
			id = h.created("")
		case name == "status" && strings.Contains(data, id):
			seen["status with the event"] = true
		case name == "point":
			var point [3]float64
			if err := json.Unmarshal([]byte(data), &point); err != nil {
				t.Fatal(err)
			}
			seen["a rate"] = seen["a rate"] || point[1] > 0 && id != ""
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("seen: %v", seen)
		}
	}
	// A new viewer sees the past.
	if name, data := h.live().next(); name != "history" || json.Unmarshal([]byte(data), &chart) != nil || len(chart[0]) < 5 {
		t.Errorf("%s: %s", name, data)
	}
	// A stop ends the streams, so that it does not wait for viewers.
	stopped := time.Now()
	h.serve.Stop()
	if took := time.Since(stopped); took > 20*time.Second {
		t.Errorf("the stop took %s", took)
	}
	publishertest.Eventually(t, "the end of the stream", func() bool { name, _ := live.next(); return name == "" })
}
