package ingress_test

import (
	"net/http"
	"strings"
	"testing"

	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/publishertest"

	"github.com/rs/zerolog"
)

const (
	validatePath      = "/api/v2/clients?validate=only"
	validateBatchPath = batchPath + "?validate=only"
)

func (h *harness) validate(body string, headers ...string) answer {
	h.t.Helper()
	return h.request(http.MethodPost, validatePath, body, append(headers, "Content-Type", "application/json")...)
}

// isValid checks that the answer says that the request is valid, and names no operation.
func (a answer) isValid(t *testing.T) {
	t.Helper()
	if a.StatusCode != http.StatusOK || string(a.body) != `{"status":"valid"}` || a.Header.Get("Location") != "" || a.Header.Get("Preference-Applied") != "" {
		t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
	}
}

// A dry run publishes nothing at all on NATS, stores nothing, and does not use the key. TestRefused compares its problems with those of
// real requests.
func TestValidateOnly(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	nc := h.server.Connect(t)
	published, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(jane, "Jane", "Janet", 1)
	h.validate(jane).isValid(t)
	h.validate(jane, "Idempotency-Key", "key", "Prefer", "wait=30").isValid(t)
	h.validate(other, "Idempotency-Key", `"key"`).isValid(t)
	h.request(http.MethodPost, validatePath+"&unknown=1", jane, "Content-Type", "application/json").isValid(t)
	h.full.Store(true)
	h.validate(jane).isValid(t)
	h.full.Store(false)
	h.validate(`{"nickname": "J", "dob": "2999-01-01"}`).problem(t, http.StatusUnprocessableEntity, "invalid")

	cases := []struct {
		line   string
		status int
		member string
		want   string
	}{
		{lineOf("", jane), 200, "status", "valid"},
		{lineOf("twice", jane), 200, "status", "valid"},
		{lineOf("twice", other), 200, "status", "valid"},
		{lineOf("", `{"firstName": "Jane", "lastName": "Smith"}`), 422, "errors", "/emailAddress"},
		{lineOf(strings.Repeat("k", 256), jane), 400, "type", "/problems/invalid-idempotency-key"},
		{"\n", 400, "type", "/problems/malformed-json"},
	}
	var body strings.Builder
	for _, c := range cases {
		body.WriteString(c.line)
	}
	for i, r := range h.request(http.MethodPost, validateBatchPath, body.String(), "Content-Type", lines).results(t, len(cases)) {
		if got := r.member(t, cases[i].member); r.Status != cases[i].status || !strings.Contains(got, cases[i].want) {
			t.Errorf("%.100s: %d %s, want %d and %s", cases[i].line, r.Status, r.Body, cases[i].status, cases[i].want)
		}
	}

	if err := nc.Publish("last", nil); err != nil {
		t.Fatal(err)
	}
	for subject := ""; subject != "last"; {
		msg, err := published.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		subject = msg.Subject
		if subject != "last" && !strings.HasPrefix(subject, "$JS.EVENT.") { // about the set-up of the test
			t.Errorf("published: %s", subject)
		}
	}
	if _, err := h.store.Get(t.Context(), h.log.KeyedID("anonymous", "key")); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("the store has the client: %v", err)
	}
	if a := h.post(jane, "Idempotency-Key", "key"); a.StatusCode != http.StatusAccepted {
		t.Errorf("the key is used: %s: %s", a.Status, a.body)
	}
	// Used keys are not checked.
	h.validate(other, "Idempotency-Key", "key").isValid(t)
}

// A query that may be meant as a dry run creates no client.
func TestAnInvalidQueryCreatesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, query := range []string{"validate", "validate=", "validate=yes", "validate=ONLY", "validate=only&validate=only", "validate=only;", "validate=%"} {
		for path, mediaType := range map[string]string{"/api/v2/clients": "application/json", batchPath: lines} {
			h.request(http.MethodPost, path+"?"+query, jane, "Content-Type", mediaType).problem(t, http.StatusBadRequest, "invalid-query")
		}
	}
	if info, err := h.commands().Info(t.Context()); err != nil || info.State.LastSeq != 0 {
		t.Errorf("the log: %+v, %v", info, err)
	}
	if a := h.request(http.MethodPost, "/api/v2/clients?unknown=1", jane, "Content-Type", "application/json"); a.StatusCode != http.StatusAccepted {
		t.Errorf("an unknown parameter: %s: %s", a.Status, a.body)
	}
}

// A dry run needs neither the log nor the database.
func TestValidateOnlyDuringAnOutage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.server.Down()
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the ingress notices the outage", func() bool { // a command sent before that has an unknown outcome
		return h.post(jane).object(t)["type"] == "/problems/unavailable"
	})
	for _, headers := range [][]string{nil, {"Idempotency-Key", "key"}} {
		h.validate(jane, headers...).isValid(t)
		h.validate("{}", headers...).problem(t, http.StatusUnprocessableEntity, "invalid")
	}
	results := h.request(http.MethodPost, validateBatchPath, lineOf("key", jane)+lineOf("", "{}"), "Content-Type", lines).results(t, 2)
	if results[0].Status != http.StatusOK || results[1].Status != http.StatusUnprocessableEntity {
		t.Errorf("%+v", results)
	}
}

// A dry run requires the scope and counts against the rate limit of its caller.
func TestValidateOnlyIsLimited(t *testing.T) {
	t.Parallel()
	handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{Authenticator: byName{}, RatePerCaller: 0.001, Logger: zerolog.Nop()})
	validate := func(headers ...string) answer { return send(handler, http.MethodPost, validatePath, headers...) }
	validate().problem(t, http.StatusUnauthorized, "unauthorized")
	validate("Authorization", "Bearer reader").problem(t, http.StatusForbidden, "forbidden")
	validate("Authorization", "Bearer writer").isValid(t)
	validate("Authorization", "Bearer writer").problem(t, http.StatusTooManyRequests, "too-many-requests")
}
