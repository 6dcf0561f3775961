package domain_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
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
	if want := "af617c1f-f066-5da7-842c-4db40bda9f75"; first.ID.String() != want {
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
	elsewhere := record(t, body)
	elsewhere.CreatedAt = elsewhere.CreatedAt.In(time.FixedZone("", 3600)).Add(time.Nanosecond)
	if event(t, elsewhere).ID != first.ID {
		t.Error("the event id depends on more of the time than a store keeps")
	}
	later := record(t, body)
	later.CreatedAt = later.CreatedAt.Add(time.Microsecond)
	if event(t, later).ID == first.ID {
		t.Error("a client that was created again has the event id of the first one")
	}
}

// The client of an event is the client in the store, with the times and the fingerprint that its record does not have.
func TestParseEvent(t *testing.T) {
	for _, name := range []string{"full.request.json", "minimal.request.json"} {
		want := record(t, testdata(t, name))
		want.Caller, want.KeyID = "", "" // an event does not name them
		header := map[string][]string{
			"ce-time": {want.CreatedAt.Format(time.RFC3339Nano)}, "ce-acceptedat": {want.AcceptedAt.Format(time.RFC3339Nano)},
		}
		got, err := domain.ParseEvent(header, event(t, want).Body)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, want)
		}
		delete(header, "ce-acceptedat") // as in an earlier version
		want.AcceptedAt = want.CreatedAt
		if got, err := domain.ParseEvent(header, event(t, want).Body); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s without the accepted time: %+v (%v)", name, got, err)
		}
		for what, body := range map[string]string{"another member": `{"shoeSize": 9}`, "no record": `[]`, "nothing": ""} {
			if _, err := domain.ParseEvent(header, []byte(body)); err == nil {
				t.Errorf("%s is a client", what)
			}
		}
		if _, err := domain.ParseEvent(nil, event(t, want).Body); err == nil {
			t.Error("an event without a time has a client")
		}
	}
}

func TestErasedID(t *testing.T) {
	id, at := uuid.MustParse("00000000-0000-7000-8000-000000000000"), time.UnixMicro(1)
	if domain.ErasedID(id, at) == domain.ErasedID(id, at.Add(time.Microsecond)) {
		t.Error("two erasures have one id")
	}
}
