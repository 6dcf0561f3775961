package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
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

// object returns a member of the body as text.
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
		if r.Status != http.StatusAccepted && r.member(t, "status") != fmt.Sprint(r.Status) {
			t.Errorf("the problem has another status than the line: %d %s", r.Status, r.Body)
		}
	}
	if got := string(results[2].Body); got != string(single.body) {
		t.Errorf("a line: %s, alone: %s", got, single.body)
	}
	// A single request under the key of a line is a retry, too.
	if again := h.post(jane, "Idempotency-Key", "new"); string(again.body) != string(results[1].Body) {
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
		if string(again[i].Body) != string(r.Body) {
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

// openBatch is a batch whose lines are written one by one.
type openBatch struct {
	t        *testing.T
	body     *io.PipeWriter
	response *http.Response
	results  *bufio.Reader
}

// open begins a batch with a line. The response begins before the request ends.
func (h *harness) open(url, line string) *openBatch {
	h.t.Helper()
	read, write := io.Pipe()
	h.t.Cleanup(func() { _ = write.Close() })
	go func() { _, _ = io.WriteString(write, line) }()
	response, err := h.api.Client().Post(url+batchPath, lines, read)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = response.Body.Close() })
	return &openBatch{h.t, write, response, bufio.NewReader(response.Body)}
}

// next returns the next result.
func (b *openBatch) next() result {
	b.t.Helper()
	line, err := b.results.ReadBytes('\n')
	if err != nil {
		b.t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(line, &r, json.MatchCaseInsensitiveNames(true)); err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *openBatch) write(text string) {
	b.t.Helper()
	if _, err := io.WriteString(b.body, text); err != nil {
		b.t.Fatal(err)
	}
}

// Each result arrives before the next line is sent, over HTTP/1 and HTTP/2.
func TestABatchIsStreamed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, isHTTP2 := range []bool{false, true} {
		api := httptest.NewUnstartedServer(h.api.Config.Handler)
		api.EnableHTTP2 = isHTTP2
		if isHTTP2 {
			api.StartTLS()
		} else {
			api.Start()
		}
		t.Cleanup(api.Close)
		h.api = api
		batch := h.open(api.URL, lineOf("0", jane))
		if isHTTP2 != (batch.response.ProtoMajor == 2) {
			t.Fatalf("the protocol is %s", batch.response.Proto)
		}
		for i := range 10 {
			if i > 0 {
				batch.write(lineOf(fmt.Sprint(i), jane))
			}
			if r := batch.next(); r.Status != http.StatusAccepted || r.member(t, "id") != h.log.KeyedID("anonymous", fmt.Sprint(i)).String() {
				t.Errorf("line %d: %d %s", i, r.Status, r.Body)
			}
		}
		_ = batch.body.Close()
		if rest, err := io.ReadAll(batch.results); err != nil || len(rest) > 0 {
			t.Errorf("after the last line: %s, %v", rest, err)
		}
	}
}

// pipes is a listener whose connections have no buffers.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (pipes) Addr() net.Addr { return &net.UnixAddr{} }

// A caller that sends all lines before it reads the first result does not block.
func TestABatchIsReadAfterItIsSent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	listener := make(pipes, 1)
	server := &http.Server{Handler: h.api.Config.Handler}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	client, conn := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	listener <- conn
	if err := client.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat(lineOf("", jane+strings.Repeat(" ", 1<<10)), 1000) // more than the service reads ahead
	if _, err := fmt.Fprintf(client, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", batchPath, lines, len(body), body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer{response, read}.results(t, 1000)
	_ = server.Close()
	<-served
}

// A line that does not arrive in time ends the batch. So does one that breaks off. Lines before it are accepted.
func TestABatchThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	api := httptest.NewUnstartedServer(h.api.Config.Handler)
	api.Config.ReadTimeout = time.Second
	api.Start()
	t.Cleanup(api.Close)
	batch := h.open(api.URL, lineOf("in time", jane)+lineOf("late", jane)[:20])
	if r := batch.next(); r.Status != http.StatusAccepted {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := batch.next(); r.Status != http.StatusRequestTimeout || r.member(t, "type") != "/problems/timeout" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if rest, err := io.ReadAll(batch.results); err != nil || len(rest) > 0 {
		t.Errorf("after the last result: %s, %v", rest, err)
	}
	read, write := io.Pipe()
	t.Cleanup(func() { _ = write.Close() })
	response, err := api.Client().Post(api.URL+batchPath, lines, read)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer{response, body}.problem(t, http.StatusRequestTimeout, "timeout")
}

// A caller that hangs up in the middle loses results, and no client. A retry receives the same operations.
func TestABatchBreaksOff(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	batch := h.open(h.api.URL, lineOf("1", jane)+lineOf("2", jane))
	first := batch.next()
	_ = batch.body.CloseWithError(io.ErrUnexpectedEOF)
	again := h.batch(lineOf("1", jane)+lineOf("2", jane)+lineOf("3", jane)).results(t, 3)
	if string(again[0].Body) != string(first.Body) {
		t.Errorf("the retry: %s, want %s", again[0].Body, first.Body)
	}
	for _, r := range again {
		if r.Status != http.StatusAccepted {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
}

// Each line counts against the rate limit, and is counted by its status.
func TestABatchIsLimited(t *testing.T) {
	t.Parallel()
	h, metrics := newHarness(t), prometheus.NewRegistry()
	h.api.Config.Handler = byContract(t, ingress.NewHandler(h.log, h.store, ingress.Config{
		Authenticator: auth.AllowAll{}, RatePerCaller: 0.01, Metrics: metrics, Logger: zerolog.Nop(),
	}))
	results := h.batch(strings.Repeat(lineOf("", jane), 5)).results(t, 5)
	for i, r := range results {
		want := http.StatusTooManyRequests
		if i == 0 {
			want = http.StatusAccepted
		}
		if r.Status != want || (r.RetryAfter > 90) != (i > 0) {
			t.Errorf("line %d: %d %d %s", i, r.Status, r.RetryAfter, r.Body)
		}
	}
	h.batch(lineOf("", jane)).problem(t, http.StatusTooManyRequests, "too-many-requests")
	if n := refusalsOf(t, metrics)["rate_limited"]; n != 5 {
		t.Errorf("%v refusals, want 5", n)
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "clientele_http_batch_lines_total" {
			for _, m := range family.GetMetric() {
				if want := map[string]float64{"202": 1, "429": 4}[m.GetLabel()[0].GetValue()]; m.GetCounter().GetValue() != want {
					t.Errorf("%v", m)
				}
			}
			return
		}
	}
	t.Error("lines are not counted")
}

// A batch occupies the slots of eight requests, or all if there are fewer, and frees them.
func TestABatchOccupiesSlots(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for slots, busy := range map[int]bool{4: true, 8: true, 9: false} {
		h.api.Config.Handler = ingress.NewHandler(h.log, h.store, ingress.Config{Authenticator: auth.AllowAll{}, MaxRequests: slots, Logger: zerolog.Nop()})
		batch := h.open(h.api.URL, lineOf("", jane))
		batch.next()
		if a := h.post(jane); (a.StatusCode == http.StatusServiceUnavailable) != busy {
			t.Errorf("%d slots: %s", slots, a.Status)
		}
		h.batch(lineOf("", jane)).problem(t, http.StatusServiceUnavailable, "busy")
		_ = batch.body.Close()
		_, _ = io.ReadAll(batch.results)
		h.batch(lineOf("", jane)).results(t, 1)
	}
}

// A log that does not answer fails each line with its operation, and is reported once.
func TestTheLogOfABatchDoesNotAnswer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var logged bytes.Buffer
	h.api.Config.Handler = byContract(t, ingress.NewHandler(silentLog{h.log}, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.New(&logged)}))
	began := time.Now()
	results := h.batch(lineOf("1", jane)+lineOf("2", jane)+lineOf("3", "{}")).results(t, 3)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the caller waited %s", took)
	}
	for i, r := range results[:2] {
		if want := "/api/v2/operations/" + h.log.KeyedID("anonymous", fmt.Sprint(i+1)).String(); r.Status != http.StatusServiceUnavailable ||
			r.RetryAfter == 0 || r.member(t, "operation") != want {
			t.Errorf("%d %d %s", r.Status, r.RetryAfter, r.Body)
		}
	}
	if results[2].Status != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", results[2].Status, results[2].Body)
	}
	if text := logged.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `"count":2,"code":"outcome-unknown"`) {
		t.Errorf("logged: %s", text)
	}
}

// A full disk refuses new lines, and a store that does not answer refuses none.
func TestABatchInTrouble(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.batch(lineOf("accepted", jane)).results(t, 1)
	h.full.Store(true)
	results := h.batch(lineOf("accepted", jane)+lineOf("new", jane)+lineOf("", jane)).results(t, 3)
	statuses := []int{results[0].Status, results[1].Status, results[2].Status}
	if !slices.Equal(statuses, []int{202, 503, 503}) || results[1].member(t, "type") != "/problems/log-full" || results[1].RetryAfter == 0 {
		t.Errorf("%v %s", statuses, results[1].Body)
	}
	h.full.Store(false)
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.batch(lineOf("accepted", jane)+lineOf("new", jane)+lineOf("", jane)).results(t, 3) {
		if r.Status != http.StatusAccepted {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
}

// A process that stops ends a batch whose caller sends nothing.
func TestABatchUntilTheProcessStops(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	stopping := make(chan struct{})
	h.api.Config.Handler = byContract(t, ingress.NewHandler(h.log, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop(), Stopping: stopping}))
	batch := h.open(h.api.URL, lineOf("", jane))
	batch.next()
	close(stopping)
	if r := batch.next(); r.Status != http.StatusServiceUnavailable || r.RetryAfter == 0 || !strings.Contains(r.member(t, "detail"), "stopping") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if rest, err := io.ReadAll(batch.results); err != nil || len(rest) > 0 {
		t.Errorf("after the last result: %s, %v", rest, err)
	}
}

// gatheringLog is a log whose Append returns after the test closes leave.
type gatheringLog struct {
	ingress.Log
	enter chan struct{}
	leave chan struct{}
}

func (l gatheringLog) Append(_ context.Context, c domain.CreateClient) (time.Time, error) {
	l.enter <- struct{}{}
	<-l.leave
	return c.AcceptedAt, nil
}

// The lines of a batch reach the log together, so that they share its syncs.
func TestLinesReachTheLogTogether(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	log := gatheringLog{h.log, make(chan struct{}, 200), make(chan struct{})}
	leave := sync.OnceFunc(func() { close(log.leave) })
	t.Cleanup(leave) // before the server waits for its requests
	h.api.Config.Handler = ingress.NewHandler(log, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	done := make(chan answer)
	go func() { done <- h.batch(strings.Repeat(lineOf("", jane), 200)) }()
	for range 200 {
		select {
		case <-log.enter:
		case <-time.After(20 * time.Second):
			t.Fatal("not all lines reach the log before one leaves it")
		}
	}
	leave()
	(<-done).results(t, 200)
}
