package ingress_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/request"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// reject does the worker's part for a command that it rejects.
func (h *harness) reject(id string, reason domain.Code, violations ...domain.Violation) {
	h.t.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(h.t.Context(), h.server.Connect(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	rejections := []domain.Rejection{{
		ID: id, Reason: reason, RejectedAt: domain.Timestamp(time.Now()), Command: h.onLog(id), Errors: violations,
	}}
	if err := outcomes.PublishRejections(rejections); err != nil {
		h.t.Fatal(err)
	}
	if err := h.store.RecordRejections(h.t.Context(), rejections); err != nil {
		h.t.Fatal(err)
	}
}

// list returns the ids and the states of all pages of a list.
func (h *harness) list(query url.Values, headers ...string) (operations []string, pages int) {
	h.t.Helper()
	for {
		pages++
		a := h.request(http.MethodGet, "/api/v2/operations?"+query.Encode(), "", headers...)
		if a.StatusCode != http.StatusOK {
			h.t.Fatalf("%s: %s", a.Status, a.body)
		}
		body := a.object(h.t)
		for _, o := range body["operations"].([]any) {
			o := o.(map[string]any)
			operations = append(operations, o["id"].(string)+" "+o["status"].(string))
		}
		cursor, more := body["cursor"].(string)
		if !more {
			return operations, pages
		}
		query.Set("cursor", cursor)
	}
}

// TestOperationsAreListed lists operations in each state as their caller, and as others.
func TestOperationsAreListed(t *testing.T) {
	t.Parallel()
	h, keys := newOwnerHarness(t)
	create := func(key string) string {
		return h.post(jane, keys.headers(key)...).object(t)["id"].(string)
	}
	succeeded, rejected, failed := create("owner"), create("owner's new"), create("owner")
	h.work(uuid.MustParse(succeeded), details(t))
	h.reject(rejected, domain.CodeInvalid, domain.Violation{Pointer: "/firstName", Detail: "is wrong"})
	h.reject(failed, domain.CodeUnstorable)
	create("owner") // pending
	foreign := create("attacker")
	h.reject(foreign, domain.CodeInvalid)
	all := []string{succeeded + " succeeded", rejected + " rejected", failed + " failed"}
	for status, want := range map[string][]string{"": all, "succeeded": all[:1], "rejected": all[1:2], "failed": all[2:]} {
		query := url.Values{}
		if status != "" {
			query.Set("status", status)
		}
		if got, _ := h.list(query, keys.headers("owner")...); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", status, got, want)
		}
	}
	if got, _ := h.list(url.Values{}, keys.headers("attacker")...); !slices.Equal(got, []string{foreign + " rejected"}) {
		t.Errorf("another caller lists %q", got)
	}
	if got, _ := h.list(url.Values{}, keys.headers("reader")...); len(got) != 0 {
		t.Errorf("a caller without operations lists %q", got)
	}
	if got, _ := h.list(url.Values{"since": {time.Now().Add(time.Hour).Format(time.RFC3339)}}, keys.headers("owner")...); len(got) != 0 {
		t.Errorf("since the future: %q", got)
	}
	// It is rejected again later, which the database has not recorded yet: the list has a place for it then.
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), h.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	again := domain.Rejection{ID: failed, Reason: domain.CodeUnstorable, RejectedAt: domain.Timestamp(time.Now().Add(time.Second)), Command: h.onLog(failed)}
	if err := outcomes.PublishRejections([]domain.Rejection{again}); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.list(url.Values{"status": {"failed"}}, keys.headers("owner")...); len(got) != 0 {
		t.Errorf("a rejection that was retried is listed at its old place: %q", got)
	}
	a := h.request(http.MethodGet, "/api/v2/operations?status=rejected", "", keys.headers("owner")...)
	if !strings.Contains(string(a.body), "is wrong") {
		t.Errorf("the list does not say why: %s", a.body)
	}
}

// TestAListHasPages lists more operations than a response has, of which some were dropped.
func TestAListHasPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const operations = 230
	var want []string
	began := time.Now().Add(-time.Hour)
	for i := range operations {
		d := details(t)
		d.FirstName = fmt.Sprintf("Jane %d", i)
		c, err := domain.NewCreateClient(uuid.New(), "anonymous", began, d)
		if err != nil {
			t.Fatal(err)
		}
		client := c.Client(began.Add(time.Duration(i/3) * time.Millisecond)) // three at each time
		if _, err := h.store.Create(t.Context(), []domain.Client{client}); err != nil {
			t.Fatal(err)
		}
		want = append(want, client.ID.String()+" succeeded")
	}
	dropped := domain.Rejection{ID: uuid.NewString(), Reason: domain.CodeInvalid, RejectedAt: domain.Timestamp(began)}
	dropped.Command.Headers = map[string][]string{domain.HeaderCaller: {"anonymous"}}
	if err := h.store.RecordRejections(t.Context(), []domain.Rejection{dropped}); err != nil {
		t.Fatal(err)
	}
	got, pages := h.list(url.Values{})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("got %d operations on %d pages, want %d on 3", len(got), pages, len(want))
	}
}

// plainLog counts the look-ups that ask the leader, which publish a message that is synced if the log has replicas.
type plainLog struct {
	ingress.Log

	asked *atomic.Int32
}

func (l plainLog) FindLatest(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error) {
	l.asked.Add(1)
	return l.Log.FindLatest(ctx, id)
}

func (l plainLog) RejectionLatest(ctx context.Context, id uuid.UUID) (domain.Rejection, error) {
	l.asked.Add(1)
	return l.Log.RejectionLatest(ctx, id)
}

func (l plainLog) Completed(ctx context.Context, sequence uint64) bool {
	l.asked.Add(1)
	return l.Log.Completed(ctx, sequence)
}

// A list with a rejection, one that was dropped, and one that was retried writes nothing to the log and asks no leader.
func TestAListAsksNoLeader(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rejected, retried := h.post(jane).object(t)["id"].(string), h.post(jane).object(t)["id"].(string)
	h.reject(rejected, domain.CodeInvalid)
	at := domain.Timestamp(time.Now())
	var records []domain.Rejection
	for _, id := range []string{retried, uuid.NewString()} {
		records = append(records, domain.Rejection{
			ID: id, Reason: domain.CodeInvalid, RejectedAt: at,
			Command: domain.RejectedCommand{Headers: map[string][]string{domain.HeaderCaller: {"anonymous"}}},
		})
	}
	if err := h.store.RecordRejections(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	handler := ingress.NewHandler(plainLog{h.log, &asked}, h.store, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	a := send(handler, http.MethodGet, "/api/v2/operations")
	operations, _ := a.object(t)["operations"].([]any)
	if a.StatusCode != http.StatusOK || len(operations) != 1 || operations[0].(map[string]any)["id"] != rejected {
		t.Errorf("%s: %s, want %s", a.Status, a.body, rejected)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the list asked the leader %d times", n)
	}
}

func TestListsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	cursorAt := func(at time.Time) string {
		return "cursor=" + request.Cursor(domain.Operation{ID: uuid.New(), CompletedAt: at})
	}
	for query, detail := range map[string]string{
		// Times that PostgreSQL cannot store, or no response has.
		cursorAt(time.UnixMicro(math.MinInt64)):                  "unchanged",
		cursorAt(time.UnixMicro(math.MaxInt64)):                  "unchanged",
		cursorAt(time.Date(-1, 12, 31, 23, 59, 59, 0, time.UTC)): "unchanged",
		cursorAt(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)):  "unchanged",
		"since=0000-01-01T00:00:00%2B00:01":                      "RFC 3339",
		"since=9999-12-31T23:59:59-00:01":                        "RFC 3339",
		"status=pending":                                         "by its id",
		"status=done":                                            "succeeded, rejected or failed",
		"since=yesterday":                                        "RFC 3339",
		"cursor=%21":                                             "unchanged",
		"cursor=MS4y":                                            "unchanged",
		"status=failed&status=succeeded":                         "repeated",
		"limit=5":                                                "no parameter",
		"status=%zz":                                             "cannot be read",
	} {
		a := h.request(http.MethodGet, "/api/v2/operations?"+query, "")
		if p := a.problem(t, http.StatusBadRequest, "invalid-query"); !strings.Contains(p["detail"].(string), detail) {
			t.Errorf("%s: %s, want %q", query, a.body, detail)
		}
	}
	for _, query := range []string{
		cursorAt(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)), cursorAt(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)),
		"since=0000-01-01T00:00:00Z", "since=9999-12-31T23:59:59Z",
	} {
		if a := h.request(http.MethodGet, "/api/v2/operations?"+query, ""); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %s", query, a.Status, a.body)
		}
	}
}
