package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

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
				batch.write(lineOf(strconv.Itoa(i), jane))
			}
			if r := batch.next(); r.Status != http.StatusAccepted || r.member(t, "id") != h.log.KeyedID("anonymous", strconv.Itoa(i)).String() {
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
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// A line that does not arrive in time ends the batch. So does one that breaks off. Lines before it are accepted.
func TestABatchThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	api := httptest.NewUnstartedServer(h.api.Config.Handler)
	api.Config.ReadTimeout = 3 * time.Second
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
	if !again[0].isFor(t, first.Body) {
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
	if took := time.Since(began); took > tooLong {
		t.Errorf("the caller waited %s", took)
	}
	for i, r := range results[:2] {
		if want := "/api/v2/operations/" + h.log.KeyedID("anonymous", strconv.Itoa(i+1)).String(); r.Status != http.StatusServiceUnavailable ||
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

// lateLog is a log that accepts a command after the context of the request has ended, unless that of the command has ended, too.
type lateLog struct {
	ingress.Log
	requests chan context.Context
}

func (l lateLog) Append(ctx context.Context, c domain.CreateClient) (time.Time, error) {
	<-(<-l.requests).Done()
	if errors.Is(ctx.Err(), context.Canceled) { // as the request is; a busy machine can reach the deadline of the command meanwhile
		return time.Time{}, domain.Errorf(domain.CodeUnknown, "no answer: %w", ctx.Err())
	}
	return c.AcceptedAt, nil
}

// A line that is late does not disturb an earlier one that is on its way to the log.
func TestALineIsLateWhileAnotherIsAccepted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	log := lateLog{h.log, make(chan context.Context, 1)}
	handler := ingress.NewHandler(log, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.requests <- r.Context()
		handler.ServeHTTP(w, r)
	}))
	api.Config.ReadTimeout = 3 * time.Second
	api.Start()
	t.Cleanup(api.Close)
	batch := h.open(api.URL, lineOf("", jane)+lineOf("", jane)[:20])
	for _, want := range []int{http.StatusAccepted, http.StatusRequestTimeout} {
		if r := batch.next(); r.Status != want {
			t.Errorf("%d %s, want %d", r.Status, r.Body, want)
		}
	}
}
