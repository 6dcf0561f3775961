package domain_test

import (
	"bytes"
	"reflect"
	"testing"

	"clientele/domain"
)

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

// Other programs may publish any message to the log, and the worker must be able to reject it.
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
		domain.CodeErased:      domain.OperationRejected,
		domain.CodeUndecodable: domain.OperationFailed,
		domain.CodeUnstorable:  domain.OperationFailed,
		"of a later release":   domain.OperationFailed,
	} {
		if got := (domain.Rejection{Reason: reason}).Status(); got != want {
			t.Errorf("%s: got %s, want %s", reason, got, want)
		}
	}
}
