package ingress_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/sqlite"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const jane = `{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com"}`

// harness is an ingress with a real log and a real store but no worker. Tests that need one do its work themselves.
type harness struct {
	t      *testing.T
	server *publishertest.Server
	log    *publisher.Log
	store  store.Store
	api    *httptest.Server
	full   atomic.Bool // the disk
}

// patient is a store whose look-ups of keys are not given up after 250 ms, which a busy machine can need. The response to a retry would have
// other links, and a command that has left the log would be accepted again.
type patient struct{ store.Store }

func (p patient) GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	return p.Store.GetAll(context.WithoutCancel(ctx), ids)
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	return newHarnessWith(t, auth.AllowAll{})
}

func newHarnessWith(t *testing.T, authenticator auth.Authenticator) *harness {
	t.Helper()
	ctx := context.Background()
	server := publishertest.Start(t)
	log, err := publisher.OpenLog(ctx, publisher.LogConfig{Conn: server.Connect(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, _, err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, server: server, log: log, store: patient{db}}
	h.api = httptest.NewServer(byContract(t, ingress.NewHandler(log, h.store, ingress.Config{
		Authenticator: authenticator, Logger: zerolog.Nop(), Full: h.full.Load,
	})))
	t.Cleanup(h.api.Close)
	return h
}

// answer is a response and its body.
type answer struct {
	*http.Response
	body []byte
}

// request sends a request; headers are pairs of name and value.
func (h *harness) request(method, path, body string, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, h.api.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	response, err := h.api.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{response, read}
}

func (h *harness) post(body string, headers ...string) answer {
	h.t.Helper()
	return h.request(http.MethodPost, "/api/v2/clients", body, append(headers, "Content-Type", "application/json")...)
}

// object returns the body as a JSON object.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(a.body, &object); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return object
}

// problem checks that the answer is a problem document of this type and status, and returns it.
func (a answer) problem(t *testing.T, status int, name string) map[string]any {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s %s: %s", a.Status, a.Header.Get("Content-Type"), a.body)
	}
	p := a.object(t)
	if p["type"] != "/problems/"+name || p["status"] != float64(status) || p["title"] == "" || p["detail"] == "" {
		t.Errorf("problem: %s", a.body)
	}
	if status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	return p
}

// onLog returns the command with this id in the form that a rejection contains.
func (h *harness) onLog(id string) domain.RejectedCommand {
	h.t.Helper()
	msg, err := h.commands().GetLastMsgForSubject(context.Background(), domain.SubjectCreate+id)
	if err != nil {
		h.t.Fatal(err)
	}
	return domain.RejectedCommand{Sequence: msg.Sequence, Headers: msg.Header}
}

// commands returns the stream of the command log.
func (h *harness) commands() jetstream.Stream {
	h.t.Helper()
	js, err := jetstream.New(h.server.Connect(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	stream, err := js.Stream(context.Background(), domain.StreamCommands)
	if err != nil {
		h.t.Fatal(err)
	}
	return stream
}

// work does the worker's part for the command with this id.
func (h *harness) work(id uuid.UUID, details domain.Details) domain.Client {
	h.t.Helper()
	found, err := h.log.Find(context.Background(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := domain.NewCreateClient(id, found.Caller, found.AcceptedAt, details)
	if err != nil {
		h.t.Fatal(err)
	}
	c.KeyID = found.KeyID
	client := c.Client(time.Now())
	if _, err := h.store.Create(context.Background(), []domain.Client{client}); err != nil {
		h.t.Fatal(err)
	}
	return client
}

// trim empties the command log.
func (h *harness) trim() {
	h.t.Helper()
	if err := h.commands().Purge(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

// renew creates the command log again with its settings.
func (h *harness) renew() {
	h.t.Helper()
	js, err := jetstream.New(h.server.Connect(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	settings := h.commands().CachedInfo().Config
	if err := js.DeleteStream(context.Background(), domain.StreamCommands); err != nil {
		h.t.Fatal(err)
	}
	if _, err := js.CreateStream(context.Background(), settings); err != nil {
		h.t.Fatal(err)
	}
}

func details(t *testing.T) domain.Details {
	t.Helper()
	d, err := domain.Parse([]byte(jane), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.post(jane)
	if a.StatusCode != http.StatusAccepted || a.Header.Get("Retry-After") == "" {
		t.Fatalf("%s %v: %s", a.Status, a.Header, a.body)
	}
	object := a.object(t)
	id, err := domain.ParseID(object["id"].(string))
	if err != nil || id.Version() != 7 {
		t.Errorf("id %s: %v", id, err)
	}
	if object["status"] != "pending" || a.Header.Get("Location") != "/api/v2/operations/"+id.String() {
		t.Errorf("%v: %s", a.Header, a.body)
	}
	links := object["links"].(map[string]any)
	if links["self"] != "/api/v2/operations/"+id.String() || links["client"] != "/api/v2/clients/"+id.String() {
		t.Errorf("links: %v", links)
	}
	acceptedAt, err := time.Parse(time.RFC3339, object["acceptedAt"].(string))
	if found, findErr := h.log.Find(context.Background(), id); err != nil || findErr != nil || !found.AcceptedAt.Equal(acceptedAt) {
		t.Errorf("acceptedAt %v (%v), on the log %v (%v)", acceptedAt, err, found, findErr)
	}

	// The command is on the log and not processed yet.
	operation := h.request(http.MethodGet, "/api/v2/operations/"+id.String(), "")
	object = operation.object(t)
	if operation.StatusCode != http.StatusOK || operation.Header.Get("Retry-After") == "" ||
		object["status"] != "pending" || object["completedAt"] != nil || object["acceptedAt"] == nil {
		t.Errorf("%s: %s", operation.Status, operation.body)
	}
	h.request(http.MethodGet, "/api/v2/clients/"+id.String(), "").problem(t, http.StatusNotFound, "not-found")

	client := h.work(id, details(t))
	operation = h.request(http.MethodGet, "/api/v2/operations/"+id.String(), "")
	object = operation.object(t)
	if object["status"] != "succeeded" || object["completedAt"] == nil || operation.Header.Get("Retry-After") != "" {
		t.Errorf("%s: %s", operation.Status, operation.body)
	}
	record := h.request(http.MethodGet, "/api/v2/clients/"+id.String(), "")
	if want, err := client.JSON(); err != nil || string(record.body) != string(want) || record.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, want %s", record.Status, record.body, want)
	}
	if record.Header.Get("Cache-Control") != "no-store" || record.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", record.Header)
	}
	capitals := h.request(http.MethodGet, "/api/v2/clients/"+strings.ToUpper(id.String()), "")
	if string(capitals.body) != string(record.body) {
		t.Errorf("the id in capitals: %s: %s", capitals.Status, capitals.body)
	}
	if a := h.request(http.MethodGet, "/api/v2/operations/"+strings.ToUpper(id.String()), ""); string(a.body) != string(operation.body) {
		t.Errorf("the id in capitals: %s: %s", a.Status, a.body)
	}
	head := h.request(http.MethodHead, "/api/v2/clients/"+id.String(), "")
	if head.StatusCode != http.StatusOK || len(head.body) != 0 {
		t.Errorf("HEAD: %s %q", head.Status, head.body)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const clients = "/api/v2/clients"
	const someID = "/01a2094a-ae7f-79f4-934c-b301506a32bf"
	padded := jane + strings.Repeat(" ", 64<<10-len(jane))
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		problem                  string
		member, value            string // of the problem document, as text
	}{
		{"malformed", "POST", clients, `{"firstName": nope}`, nil, 400, "malformed-json", "offset", "15"},
		{"trailing data", "POST", clients, jane + `{}`, nil, 400, "malformed-json", "offset", strconv.Itoa(len(jane))},
		{"empty", "POST", clients, ``, nil, 400, "malformed-json", "offset", "0"},
		{"repeated member", "POST", clients, `{"title": "Ms", "title": "Dr"}`, nil, 400, "malformed-json", "pointer", "/title"},
		{"unknown member", "POST", clients, `{"nickname": "J",` + jane[1:], nil, 422, "invalid", "errors", "/nickname"},
		{"missing member", "POST", clients, `{"firstName": "Jane", "lastName": "Smith"}`, nil, 422, "invalid", "errors", "/emailAddress"},
		{"null member", "POST", clients, `{"firstName": null, "lastName": "Smith", "emailAddress": "a@example.com"}`, nil, 422, "invalid", "errors", "/firstName"},
		{"not an object", "POST", clients, `[]`, nil, 422, "invalid", "errors", "must be an object"},
		{"too large", "POST", clients, padded + " ", nil, 413, "too-large", "detail", "65536"},
		{"no content type", "POST", clients, jane, []string{"Content-Type", ""}, 415, "unsupported-media-type", "detail", "application/json"},
		{"a form", "POST", clients, jane, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported-media-type", "detail", "application/json"},
		{"compressed", "POST", clients, jane, []string{"Content-Encoding", "gzip"}, 415, "unsupported-media-type", "detail", "Content-Encoding"},
		{"wants XML", "POST", clients, jane, []string{"Accept", "application/xml"}, 406, "not-acceptable", "detail", "application/json"},
		{"wants anything but JSON", "POST", clients, jane, []string{"Accept", "*/*, application/json;q=0"}, 406, "not-acceptable", "detail", "application/json"},
		{"wrong method", "PUT", clients, jane, nil, 405, "method-not-allowed", "detail", "POST"},
		{"wrong method on a client", "DELETE", clients + someID, "", nil, 405, "method-not-allowed", "detail", "GET, HEAD"},
		{"unknown client", "GET", clients + someID, "", nil, 404, "not-found", "detail", "client"},
		{"unknown operation", "GET", "/api/v2/operations" + someID, "", nil, 404, "not-found", "detail", "operation"},
		{"client that is no UUID", "GET", clients + "/x", "", nil, 404, "not-found", "detail", "client"},
		{"operation that is no UUID", "GET", "/api/v2/operations/x", "", nil, 404, "not-found", "detail", "operation"},
		{"client without hyphens", "GET", clients + strings.ReplaceAll(someID, "-", ""), "", nil, 404, "not-found", "detail", "client"},
		{"operation in braces", "GET", "/api/v2/operations/{" + someID[1:] + "}", "", nil, 404, "not-found", "detail", "operation"},
		{"no such path", "GET", "/api/v1/clients", "", nil, 404, "not-found", "detail", "path"},
		{"empty key", "POST", clients, jane, []string{"Idempotency-Key", `""`}, 400, "invalid-idempotency-key", "detail", "empty"},
		{"long key", "POST", clients, jane, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "invalid-idempotency-key", "detail", "255"},
		{"half a quote", "POST", clients, jane, []string{"Idempotency-Key", `"k`}, 400, "invalid-idempotency-key", "detail", "quote"},
		{"non-ASCII key", "POST", clients, jane, []string{"Idempotency-Key", "schlüssel"}, 400, "invalid-idempotency-key", "detail", "ASCII"},
		{"two keys", "POST", clients, jane, []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, 400, "invalid-idempotency-key", "detail", "one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !slices.Contains(c.headers, "Content-Type") {
				c.headers = append(c.headers, "Content-Type", "application/json")
			}
			a := h.request(c.method, c.path, c.body, c.headers...)
			a.problem(t, c.status, c.problem)
			text, err := json.Marshal(a.object(t)[c.member])
			if err != nil || !strings.Contains(string(text), c.value) {
				t.Errorf("%s is %s, want %q in it", c.member, text, c.value)
			}
			if validated := h.request(c.method, c.path+"?validate=only", c.body, c.headers...); validated.StatusCode != c.status || string(validated.body) != string(a.body) {
				t.Errorf("with validate=only: %s %s, want %s", validated.Status, validated.body, a.body)
			}
			if allow := a.Header.Get("Allow"); (c.status == http.StatusMethodNotAllowed) != (allow != "") {
				t.Errorf("Allow: %q", allow)
			}
		})
	}

	t.Run("just not too large", func(t *testing.T) {
		if a := h.post(padded); a.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %s", a.Status, a.body)
		}
	})
	for _, accept := range []string{"application/json", "*/*", "text/html, application/*;q=0.1", "", "application/problem+json"} {
		if a := h.post(jane, "Accept", accept); a.StatusCode != http.StatusAccepted {
			t.Errorf("Accept: %s: %s: %s", accept, a.Status, a.body)
		}
	}
	if a := h.request("POST", clients, jane, "Content-Type", "application/json; charset=utf-8"); a.StatusCode != http.StatusAccepted {
		t.Errorf("charset: %s: %s", a.Status, a.body)
	}
}

// The names of members can be as long as the body. An answer names at most a hundred, and the beginning of each.
func TestAnswersAboutLongNamesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	long := strings.Repeat("é", 15_000)
	for body, want := range map[string]string{`{"` + long + `": 1,` + jane[1:]: "invalid", `{"` + long + `": 1, "` + long + `": 2}`: "malformed-json"} {
		status := map[string]int{"invalid": http.StatusUnprocessableEntity, "malformed-json": http.StatusBadRequest}[want]
		a := h.post(body)
		a.problem(t, status, want)
		line := h.batch(lineOf("", body)).results(t, 1)[0]
		if line.Status != status || !strings.Contains(string(line.Body), "/problems/"+want) {
			t.Errorf("a line: %d %.300s", line.Status, line.Body)
		}
		for _, answer := range []string{string(a.body), string(line.Body)} {
			if len(answer) > 1_000 || !strings.Contains(answer, "éé…") {
				t.Errorf("%d bytes: %.300s", len(answer), answer)
			}
		}
	}
	var members strings.Builder
	for i := range 120 {
		members.WriteString(strconv.Quote(strings.Repeat("a", 500)+strconv.Itoa(i)) + ": 1,")
	}
	a := h.post("{" + members.String() + jane[1:])
	a.problem(t, http.StatusUnprocessableEntity, "invalid")
	if len(a.body) > 40_000 {
		t.Errorf("%d bytes about %d", len(a.body), members.Len())
	}
}

func TestARetryGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	reordered := `{"emailAddress": " jsmith@example.com", "lastName": "Smith", "title": "", "firstName": "Jane"}`
	other := strings.Replace(jane, "Jane", "Janet", 1)

	first := h.post(jane, "Idempotency-Key", "key-1")
	if first.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s", first.Status, first.body)
	}
	again := func(state string) {
		t.Helper()
		for _, key := range []string{"key-1", `"key-1"`} {
			for _, body := range []string{jane, reordered} {
				if a := h.post(body, "Idempotency-Key", key); string(a.body) != string(first.body) || a.StatusCode != http.StatusAccepted {
					t.Errorf("%s: %s: %s, want %s", state, a.Status, a.body, first.body)
				}
			}
			h.post(other, "Idempotency-Key", key).problem(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		}
	}
	again("pending")
	id := uuid.MustParse(first.object(t)["id"].(string))
	h.work(id, details(t))
	again("succeeded")
	h.trim()
	again("succeeded and trimmed")
	if _, err := h.log.Find(context.Background(), id); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a retry of a finished command is on the log again: %v", err)
	}

	if a := h.post(jane, "Idempotency-Key", "key-2"); a.object(t)["id"] == first.object(t)["id"] {
		t.Error("another key has the same id")
	}
	if h.post(jane).object(t)["id"] == h.post(jane).object(t)["id"] {
		t.Error("two requests without a key have one id")
	}
}

func TestFiftyAtOnceUnderOneKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	answers := make([]answer, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = h.post(jane, "Idempotency-Key", "one") })
	}
	wg.Wait()
	first := answers[0].object(t)
	for _, a := range answers { // the links of a request can have a query, if the store is slow
		if got := a.object(t); a.StatusCode != http.StatusAccepted || got["id"] != first["id"] || got["acceptedAt"] != first["acceptedAt"] {
			t.Errorf("%s: %s, want %s", a.Status, a.body, answers[0].body)
		}
	}
}
