package domain_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"clientele/domain"
)

func event(t *testing.T, c domain.Client) domain.Event {
	t.Helper()
	e, err := domain.NewEvent(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNewEvent(t *testing.T) {
	body := testdata(t, "full.request.json")
	first, again := event(t, record(t, body)), event(t, record(t, body))
	golden(t, "full.record.json", first.Body)
	if want := "54d692a4-1254-5d23-b987-f09cef5ba3c5"; first.ID.String() != want {
		t.Errorf("id %s, want %s: subscribers would take old events for new ones", first.ID, want)
	}
	if first.ID != again.ID || !bytes.Equal(first.Body, again.Body) {
		t.Errorf("equal clients, other events:\n%s %s\n%s %s", first.ID, first.Body, again.ID, again.Body)
	}

	other := record(t, body)
	other.ID = uuid.MustParse("00000000-0000-7000-8000-000000000000")
	if event(t, other).ID == first.ID {
		t.Error("two clients, one event id")
	}
	later := record(t, body)
	later.CreatedAt = later.CreatedAt.Add(time.Hour)
	if event(t, later).ID != first.ID {
		t.Error("the event id depends on more than the client's id")
	}
}

func TestRejectionJSON(t *testing.T) {
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	rejection := domain.Rejection{
		ID:         "3c90c3cc-0d44-4b50-8888-8dd25736052a",
		Reason:     domain.CodeInvalid,
		Errors:     []domain.Violation{{Pointer: "/a~1b", Detail: "is not a member of this object"}},
		RejectedAt: today,
		Deliveries: 3,
		Command: domain.RejectedCommand{
			Sequence: 7,
			Headers:  map[string][]string{"Clientele-Caller": {"crm"}, "B": {"1", "2"}, "A": {""}},
			Body:     everyByte,
		},
	}
	body, err := rejection.JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "rejection.json", body)
	if again, _ := rejection.JSON(); !bytes.Equal(again, body) {
		t.Errorf("equal rejections, other bytes:\n%s\n%s", body, again)
	}
	got, err := domain.ParseRejection(body)
	if err != nil || !reflect.DeepEqual(got, rejection) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, rejection)
	}

	for _, body := range []string{"", "{", "[]", `{"deliveries": -1}`, `{"command": {"body": "?"}}`} {
		if got, err := domain.ParseRejection([]byte(body)); err == nil {
			t.Errorf("%q was read as %+v", body, got)
		}
	}
}

// Whoever may publish can put anything on the log, and the worker must be able to reject it.
func TestRejectionOfAnything(t *testing.T) {
	rejection := domain.Rejection{
		ID:     "\xff\x00 ",
		Reason: domain.CodeUndecodable,
		Command: domain.RejectedCommand{
			Headers: map[string][]string{"\xfe": {"\xff", "\x00"}, "\xff": {"x"}, "": nil, "Nil": {}},
			Body:    []byte{0xff, 0x00},
		},
	}
	body, err := rejection.JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := domain.ParseRejection(body)
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if got.ID != "\ufffd\x00 " || !bytes.Equal(got.Command.Body, rejection.Command.Body) ||
		len(got.Command.Headers["\ufffd"]) == 0 {
		t.Errorf("got %+v", got)
	}

	if body, err := (domain.Rejection{}).JSON(); err != nil {
		t.Errorf("a rejection of nothing: %v", err)
	} else if _, err := domain.ParseRejection(body); err != nil {
		t.Errorf("a rejection of nothing: %v in %s", err, body)
	}
}

func TestRejectionStatus(t *testing.T) {
	for reason, want := range map[domain.Code]domain.OperationStatus{
		domain.CodeInvalid:     domain.OperationRejected,
		domain.CodeKeyReused:   domain.OperationRejected,
		domain.CodeUndecodable: domain.OperationFailed,
		domain.CodeUnstorable:  domain.OperationFailed,
		"of a later release":   domain.OperationFailed,
	} {
		if got := (domain.Rejection{Reason: reason}).Status(); got != want {
			t.Errorf("%s: got %s, want %s", reason, got, want)
		}
	}
}
