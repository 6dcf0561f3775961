package systemtest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"

	otlpcollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector receives spans by OTLP.
type collector struct {
	mu    sync.Mutex
	spans map[string][]*otlp.Span // by name
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request otlpcollector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans[span.GetName()] = append(c.spans[span.GetName()], span)
			}
		}
	}
}

// one waits for the only span with this name.
func (c *collector) one(t *testing.T, name string) *otlp.Span {
	t.Helper()
	var spans []*otlp.Span
	publishertest.Eventually(t, "span "+name, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		spans = slices.Clone(c.spans[name])
		return len(spans) > 0
	})
	if len(spans) > 1 {
		t.Fatalf("%d spans %q", len(spans), name)
	}
	return spans[0]
}

// TestTrace follows a client through HTTP, the log, the worker, the database and its event, from process to process.
func TestTrace(t *testing.T) {
	t.Parallel()
	c := &collector{spans: map[string][]*otlp.Span{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	traces := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_BSP_SCHEDULE_DELAY=20"}
	s := testcluster.New(t)
	ingress := testcluster.ClienteleWith(t, traces, "ingress", s.Flags...)
	worker := testcluster.ClienteleWith(t, traces, "worker", s.Flags...)
	ingress.Ready()
	worker.Ready()

	const trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ingress.API()+"/api/v2/clients", strings.NewReader(testcluster.Jane))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", "00-"+trace+"-"+caller+"-01")
	r.Header.Set("Tracestate", "vendor=Smith")
	answer, err := testcluster.RoundTrip(r)
	if err != nil || answer.Status != http.StatusAccepted {
		t.Fatal(answer, err)
	}
	id := hex.EncodeToString
	below := func(name, trace, parent string) *otlp.Span {
		t.Helper()
		span := c.one(t, name)
		if id(span.GetTraceId()) != trace || id(span.GetParentSpanId()) != parent || span.GetTraceState() != "" {
			t.Errorf("%s is in trace %x below %x, want %s below %s, without %q", name, span.GetTraceId(), span.GetParentSpanId(), trace, parent, span.GetTraceState())
		}
		return span
	}
	request := below("POST /api/v2/clients", trace, caller)
	send := below("send client.create", trace, id(request.GetSpanId()))
	process := below("process client.create", trace, id(send.GetSpanId()))
	batch := c.one(t, "process batch of client.create")
	below("store clients", id(batch.GetTraceId()), id(batch.GetSpanId()))
	below("publish events", id(batch.GetTraceId()), id(batch.GetSpanId()))
	linked := func(from, to *otlp.Span) {
		t.Helper()
		if links := from.GetLinks(); len(links) != 1 || id(links[0].GetSpanId()) != id(to.GetSpanId()) || id(links[0].GetTraceId()) != id(to.GetTraceId()) {
			t.Errorf("%s is linked with %v, want %x", from.GetName(), links, to.GetSpanId())
		}
	}
	linked(batch, send)
	linked(process, batch)
	msgs := testcluster.Messages(t, s.NATS.URL, "CLIENT_EVENTS")
	if want := "00-" + trace + "-" + id(process.GetSpanId()) + "-01"; len(msgs) != 1 || msgs[0].Header.Get("traceparent") != want {
		t.Errorf("events %v, want one with traceparent %s", msgs, want)
	}
	if state := msgs[0].Header.Values("tracestate"); len(state) > 0 {
		t.Errorf("tracestate, which may contain anything: %s", state)
	}
	ingress.Stop()
	worker.Stop()
}

// TestTraceIsPassedOn checks that a process without tracing passes on a trace context, and creates none.
func TestTraceIsPassedOn(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	api := serve.API()
	const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for _, header := range []string{traceparent, "00-nonsense", ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/api/v2/clients", strings.NewReader(testcluster.Jane))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Traceparent", header)
		answer, err := testcluster.RoundTrip(r)
		if err != nil || answer.Status != http.StatusAccepted {
			t.Fatal(answer, err)
		}
		testcluster.Succeeded(t, api, answer.Header.Get("Location"))
	}
	var passed []string
	publishertest.Eventually(t, "the events are published", func() bool { // an operation succeeds when its client is stored
		passed = nil
		for _, msg := range testcluster.Messages(t, serve.NATSURL(), "CLIENT_EVENTS") {
			passed = append(passed, msg.Header.Get("traceparent"))
		}
		return len(passed) == 3
	})
	if want := []string{traceparent, "", ""}; !slices.Equal(passed, want) {
		t.Errorf("passed on %q, want %q", passed, want)
	}
	serve.Stop()
}

func TestTracesGoNowhere(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"OTEL_TRACES_EXPORTER=zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"} {
		serve := testcluster.ClienteleWith(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", environment}, "serve", "--data-dir", t.TempDir())
		name, _, _ := strings.Cut(environment, "=")
		serve.Says(`(?m)^clientele: ` + name + ` must be`)
		if status := serve.Wait(); status != cli.ExitError {
			t.Errorf("%s: exit status %d", environment, status)
		}
	}
	// An unavailable collector neither stops processing nor delays the end of the process.
	serve := testcluster.ClienteleWith(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_EXPORTER_OTLP_TIMEOUT=100"},
		"serve", "--data-dir", t.TempDir())
	testcluster.Succeeded(t, serve.API(), testcluster.Accepted(t, serve.API(), testcluster.Jane, ""))
	serve.Says("cannot export traces")
	serve.Stop()
}
