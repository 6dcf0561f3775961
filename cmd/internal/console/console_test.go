package console_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go/jetstream"
)

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m)) }

// harness is a serve with a console, and a browser without JavaScript.
type harness struct {
	t     *testing.T
	serve *testcluster.Process
	url   string
	token string // sent as a bearer token, unless it is ""
	http  *http.Client
}

func newHarness(t *testing.T, flags ...string) *harness {
	t.Helper()
	flags = append([]string{"--data-dir", t.TempDir(), "--console-listen=127.0.0.1:0"}, flags...)
	h := &harness{t: t, serve: testcluster.Clientele(t, "serve", flags...)}
	h.serve.Ready()
	h.url = h.serve.Console()
	h.http = &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return h
}

// do sends a request. headers are pairs of name and value.
func (h *harness) do(method, path, body string, headers ...string) testcluster.Reply {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if h.token != "" {
		r.Header.Set("Authorization", "Bearer "+h.token)
	}
	for pair := range slices.Chunk(headers, 2) {
		if r.Header.Set(pair[0], pair[1]); pair[0] == "Host" {
			r.Host = pair[1]
		}
	}
	return h.send(r)
}

func (h *harness) send(r *http.Request) testcluster.Reply {
	h.t.Helper()
	response, err := h.http.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return testcluster.Reply{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

// get returns a page, which must have this status.
func (h *harness) get(path string, status int) string {
	h.t.Helper()
	r := h.do(http.MethodGet, path, "")
	if r.Status != status {
		h.t.Fatalf("GET %s: %d, want %d: %s", path, r.Status, status, r.Body)
	}
	return r.Body
}

// post sends a form.
func (h *harness) post(path string, form url.Values, headers ...string) testcluster.Reply {
	h.t.Helper()
	return h.do(http.MethodPost, path, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

// created creates a client and returns its id.
func (h *harness) created(key string, headers ...string) string {
	h.t.Helper()
	r := testcluster.Do(h.t, http.MethodPost, h.serve.API()+"/api/v2/clients", testcluster.Jane, key, append(headers, "Prefer", "wait=20")...)
	if r.Status != http.StatusCreated {
		h.t.Fatalf("%d: %s", r.Status, r.Body)
	}
	return r.Object(h.t)["id"].(string)
}

func (h *harness) jetStream() jetstream.JetStream {
	h.t.Helper()
	return testcluster.JetStream(h.t, h.serve.NATSURL())
}

// reject puts rejections on their stream, as a worker does.
func (h *harness) reject(rejections ...domain.Rejection) {
	h.t.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(h.t.Context(), h.jetStream().Conn())
	if err != nil {
		h.t.Fatal(err)
	}
	for few := range slices.Chunk(rejections, 200) {
		publishertest.Eventually(h.t, "rejections are on their stream", func() bool { // an acknowledgement can be too late while the disk stalls
			err := outcomes.PublishRejections(few)
			if err != nil {
				h.t.Log(err)
			}
			return err == nil
		})
	}
}

// rejection returns one of a command that can be stored.
func rejection(t testing.TB, reason domain.Code, pointers ...string) domain.Rejection {
	t.Helper()
	command := publishertest.Command(t, publishertest.NewID(t), "Smith")
	r := domain.Rejection{
		ID: command.ID.String(), Reason: reason, RejectedAt: domain.Timestamp(time.Now()), Deliveries: 3,
		Command: domain.RejectedCommand{Headers: domain.EncodeCommand(command, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").Header, Body: command.Body},
	}
	for _, pointer := range pointers {
		r.Errors = append(r.Errors, domain.Violation{Pointer: pointer, Detail: "must be valid; did you mean +442079460123?"})
	}
	return r
}

// rejections returns how many exist.
func (h *harness) rejections() uint64 {
	h.t.Helper()
	stream, err := h.jetStream().Stream(h.t.Context(), domain.StreamRejections)
	if err != nil {
		h.t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// records returns the audit records of an action.
func (h *harness) records(action domain.AuditAction) []domain.AuditRecord {
	h.t.Helper()
	var records []domain.AuditRecord
	for _, msg := range testcluster.Messages(h.t, h.serve.NATSURL(), domain.StreamAudit) {
		record, err := domain.ParseAuditRecord(msg.Data)
		if err != nil {
			h.t.Fatal(err)
		}
		if record.Action == action {
			records = append(records, record)
		}
	}
	return records
}

// contains checks that a page has all texts.
func contains(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("no %q in %s", text, page)
		}
	}
}

// hidden returns the hidden fields and the first button of the form that posts to an action.
func hidden(t *testing.T, page, action string) url.Values {
	t.Helper()
	_, form, ok := strings.Cut(page, `action="`+action+`"`)
	if !ok {
		t.Fatalf("no form for %s in %s", action, page)
	}
	form, _, _ = strings.Cut(form, "</form>")
	values := url.Values{}
	for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(form, -1) {
		values.Add(field[1], strings.ReplaceAll(field[2], "&#43;", "+"))
	}
	if button := regexp.MustCompile(`<button name="do" value="([^"]*)"`).FindStringSubmatch(form); button != nil {
		values.Set("do", button[1])
	}
	return values
}

func TestStatusPage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.created("")
	var page string
	publishertest.Eventually(t, "health, rates, which require two looks, and the figures of the process", func() bool {
		page = h.get("/", http.StatusOK)
		return strings.Contains(page, "Clientele works.") && strings.Contains(page, "/s</dd>") && strings.Contains(page, `<th scope="row">201</th>`)
	})
	contains(t, page, "CLIENT_COMMANDS", "CLIENT_SUBSCRIPTIONS", "no durable consumers", `<a href="/operations?id=`+id+`">`,
		"Commands per write to the log", "SQLite")
	r := h.do(http.MethodGet, "/", "")
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
	} {
		if !strings.Contains(r.Header.Get(name), want) {
			t.Errorf("%s: %q", name, r.Header.Get(name))
		}
	}
	if strings.Contains(r.Body, "style=") || strings.Contains(r.Body, "Smith") {
		t.Errorf("an inline style, or personal data: %s", r.Body)
	}
	h.get("/static/console.css", http.StatusOK)
	h.get("/static/nothing", http.StatusNotFound)
	h.get("/nothing", http.StatusNotFound)
}

// A problem has a link to the section of the documentation, which the console has.
func TestProblemsLeadToRunbooks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if err := h.jetStream().DeleteConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	link := ""
	publishertest.Eventually(t, "a problem", func() bool {
		match := regexp.MustCompile(`consumer worker is missing(?s:.*)href="(/runbooks/[^"]*)"`).FindStringSubmatch(h.get("/", http.StatusOK))
		if match != nil {
			link = match[1]
		}
		return match != nil
	})
	contains(t, h.get(link, http.StatusOK), "<h1>When a process ends</h1>", "Missing data is never silently recreated.")
	contains(t, h.get("/runbooks/rejections", http.StatusOK), "<li>ls shows no personal data", "<code>clientele rejections ls --group")
	h.get("/runbooks/nothing", http.StatusNotFound)
}
