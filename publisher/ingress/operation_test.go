package ingress_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestRejectedOperations(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), h.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for reason, status := range map[domain.Code]string{
		domain.CodeInvalid:     "rejected",
		domain.CodeKeyReused:   "rejected",
		domain.CodeErased:      "rejected",
		domain.CodeUndecodable: "failed",
		domain.CodeUnstorable:  "failed",
	} {
		id := h.post(jane).object(t)["id"].(string)
		err := outcomes.PublishRejections([]domain.Rejection{{
			ID: id, Reason: reason, RejectedAt: domain.Timestamp(time.Now()), Command: h.onLog(id),
			Errors: []domain.Violation{{Pointer: "/firstName", Detail: "is wrong"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		a := h.request(http.MethodGet, "/api/v2/operations/"+id, "")
		if o := a.object(t); o["status"] != status || o["completedAt"] == nil || !strings.Contains(string(a.body), "is wrong") {
			t.Errorf("%s: %s", reason, a.body)
		}
		// A client outranks a rejection with its id.
		h.work(uuid.MustParse(id), details(t))
		a = h.request(http.MethodGet, "/api/v2/operations/"+id, "")
		if o := a.object(t); o["status"] != "succeeded" || len(o["errors"].([]any)) != 0 {
			t.Errorf("%s, then stored: %s", reason, a.body)
		}
	}
}

// A rejected command that has left the log can be sent again under its id. Then the operation is pending, because the rejection
// belongs to the earlier command.
func TestAnOperationThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	outcomes, err := publisher.OpenOutcomePublisher(context.Background(), h.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	status := func(id string) any {
		return h.request(http.MethodGet, "/api/v2/operations/"+id, "").object(t)["status"]
	}
	id := h.post(jane, "Idempotency-Key", "again").object(t)["id"].(string)
	rejection := domain.Rejection{ID: id, Reason: domain.CodeInvalid, RejectedAt: domain.Timestamp(time.Now()), Command: h.onLog(id)}
	if err := outcomes.PublishRejections([]domain.Rejection{rejection}); err != nil {
		t.Fatal(err)
	}
	if s := status(id); s != "rejected" {
		t.Errorf("rejected: %v", s)
	}
	h.trim()
	if s := status(id); s != "rejected" {
		t.Errorf("rejected and trimmed: %v", s)
	}
	h.post(jane, "Idempotency-Key", "again")
	if s := status(id); s != "pending" {
		t.Errorf("on the log again: %v", s)
	}
	rejection.Command = h.onLog(id)
	if err := outcomes.PublishRejections([]domain.Rejection{rejection}); err != nil {
		t.Fatal(err)
	}
	if s := status(id); s != "rejected" {
		t.Errorf("rejected again: %v", s)
	}
}

// A log that was created again counts from 1 again. So a rejection that an earlier log left can have the sequence of a new command, or
// a greater one.
func TestAnOperationOnALogThatIsCreatedAgain(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"the same sequence": 0, "a greater one": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			for range before {
				h.post(jane)
			}
			id := h.post(jane, "Idempotency-Key", "again").object(t)["id"].(string)
			rejection := domain.Rejection{ID: id, Reason: domain.CodeInvalid, RejectedAt: domain.Timestamp(time.Now()), Command: h.onLog(id)}
			outcomes, err := publisher.OpenOutcomePublisher(t.Context(), h.server.Connect(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := outcomes.PublishRejections([]domain.Rejection{rejection}); err != nil {
				t.Fatal(err)
			}
			h.renew()
			h.post(jane, "Idempotency-Key", "again")
			if s := h.request(http.MethodGet, "/api/v2/operations/"+id, "").object(t)["status"]; s != "pending" {
				t.Errorf("on the new log: %v", s)
			}
			rejection.Command = h.onLog(id)
			if err := outcomes.PublishRejections([]domain.Rejection{rejection}); err != nil {
				t.Fatal(err)
			}
			if s := h.request(http.MethodGet, "/api/v2/operations/"+id, "").object(t)["status"]; s != "rejected" {
				t.Errorf("rejected on the new log: %v", s)
			}
		})
	}
}

// A message on the log that no ingress accepted is a pending operation, too, until the worker rejects it.
func TestAnOperationThatNoIngressAccepted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	js, err := jetstream.New(h.server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for key, header := range map[string]nats.Header{
		"no headers": nil,
		"a time that JSON cannot say": {
			domain.HeaderFingerprint: {domain.Fingerprint{}.String()}, domain.HeaderAcceptedAt: {"9999-12-31T23:59:59-00:01"},
		},
	} {
		id := h.log.KeyedID("anonymous", key)
		msg := &nats.Msg{Subject: domain.SubjectCreate + id.String(), Data: []byte("garbage"), Header: header}
		if _, err := js.PublishMsg(context.Background(), msg); err != nil {
			t.Fatal(err)
		}
		a := h.request(http.MethodGet, "/api/v2/operations/"+id.String(), "")
		if o := a.object(t); a.StatusCode != http.StatusOK || o["status"] != "pending" || o["acceptedAt"] != nil {
			t.Errorf("%s: %s: %s", key, a.Status, a.body)
		}
		h.post(jane, "Idempotency-Key", key).problem(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	}
}
