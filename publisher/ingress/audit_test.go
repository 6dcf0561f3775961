package ingress_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// A read is in the audit trail before the response. Without the trail, reads are refused, and commands are accepted.
func TestReadsAreRecorded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	js, err := jetstream.New(h.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	recorder, err := audit.Open(t.Context(), audit.Config{Conn: js.Conn()})
	if err != nil {
		t.Fatal(err)
	}
	trail := audit.NewCollector(recorder, zerolog.Nop())
	t.Cleanup(trail.Close)
	h.api = httptest.NewServer(byContract(t, ingress.NewHandler(h.log, h.store, ingress.Config{
		Authenticator: auth.AllowAll{}, Audit: trail, Logger: zerolog.Nop(),
	})))
	t.Cleanup(h.api.Close)
	client := domain.Client{ID: domain.KeyedID("", "a", "b"), Status: domain.StatusNotInvited, CreatedAt: time.Now(), AcceptedAt: time.Now(), Details: domain.Details{
		FirstName: "Jane", LastName: "Smith", EmailAddress: "jsmith@example.com",
	}}
	if _, err := h.store.Create(t.Context(), []domain.Client{client}); err != nil {
		t.Fatal(err)
	}
	path := "/api/v2/clients/" + client.ID.String()
	h.request(http.MethodGet, "/api/v2/clients/"+domain.KeyedID("", "a", "c").String(), "").problem(t, http.StatusNotFound, "not-found")
	for _, read := range []struct {
		headers []string
		status  int
	}{{nil, http.StatusOK}, {[]string{"If-None-Match", "*"}, http.StatusNotModified}} {
		if a := h.request(http.MethodGet, path, "", read.headers...); a.StatusCode != read.status {
			t.Fatalf("%v: %d: %s", read.headers, a.StatusCode, a.body)
		}
	}
	var records []domain.AuditRecord
	for record, err := range audit.Read(t.Context(), js, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		record.ID, record.Time = client.ID, time.Time{}
		records = append(records, record)
	}
	want := domain.AuditRecord{
		ID: client.ID, Action: domain.AuditClientRead, Result: domain.AuditSucceeded, ClientID: client.ID, Address: "127.0.0.1",
		Actor: domain.AuditActor{Kind: domain.AuditCaller, Name: "anonymous"},
	}
	if len(records) != 2 || records[0] != want || records[1] != want {
		t.Errorf("%+v, want %+v twice", records, want)
	}
	if err := js.DeleteStream(t.Context(), domain.StreamAudit); err != nil {
		t.Fatal(err)
	}
	h.request(http.MethodGet, path, "").problem(t, http.StatusServiceUnavailable, "unavailable")
	h.request(http.MethodGet, path, "", "If-None-Match", "*").problem(t, http.StatusServiceUnavailable, "unavailable")
	if a := h.request(http.MethodPost, "/api/v2/clients", jane, "Content-Type", "application/json"); a.StatusCode != http.StatusAccepted {
		t.Errorf("%d: %s", a.StatusCode, a.body)
	}
}

// collected are the records of refused requests.
type collected struct{ records []domain.AuditRecord }

func (*collected) Record(context.Context, ...domain.AuditRecord) error { return nil }
func (c *collected) Collect(record domain.AuditRecord)                 { c.records = append(c.records, record) }

// Each refusal is recorded with its reason, and with its caller if the token is valid.
func TestRefusalsAreRecorded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		headers []string
		result  domain.AuditResult
		caller  string
	}{
		{nil, "no_token", ""},
		{[]string{"Authorization", "Bearer forged"}, "invalid_token", ""},
		{[]string{"Authorization", "Bearer reader"}, "insufficient_scope", "reader"},
		{[]string{"Authorization", "Bearer writer", "Sec-Fetch-Site", "cross-site"}, "cross_origin", ""},
		{[]string{"Authorization", "Bearer writer"}, "rate_limited", "writer"},
	} {
		var audit collected
		handler := ingress.NewHandler(slowLog{}, nil, ingress.Config{
			Authenticator: byName{}, RatePerCaller: 0.001, Audit: &audit, Logger: zerolog.Nop(),
		})
		serve(handler, c.headers...)
		serve(handler, c.headers...)
		if len(audit.records) == 0 {
			t.Errorf("%s: no record", c.result)
			continue
		}
		got := audit.records[len(audit.records)-1]
		if got.Action != domain.AuditRefused || got.Result != c.result || got.Actor.Name != c.caller || got.Address == "" {
			t.Errorf("%+v, want %s of %q", got, c.result, c.caller)
		}
	}
}
