package domain_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"clientele/domain"
)

// record returns the client that the body creates.
func record(t tb, body []byte) domain.Client {
	t.Helper()
	c := command(t, body)
	c.ID = uuid.MustParse("3c90c3cc-0d44-4b50-8888-8dd25736052a")
	return c.Client(today)
}

// members returns the names in a JSON object and its members.
func members(t *testing.T, object []byte) ([]string, map[string]any) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(object, &m); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(m)), m
}

func TestRecordGolden(t *testing.T) {
	for _, name := range []string{"full", "minimal"} {
		body, err := record(t, testdata(t, name+".request.json")).JSON()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".record.json", body)
	}
}

// TestRecordMembers compares the record with the API's reference page.
func TestRecordMembers(t *testing.T) {
	var (
		required = []string{"id", "firstName", "lastName", "emailAddress", "status"}
		nullable = []string{
			"title", "middleName", "companyName", "telephoneNumber", "altTelephoneNumber", "pronouns",
			"avatarUrl", "dob", "nationality", "niNumber", "occupation",
		}
		objects     = []string{"communicationPreferences", "address"}
		preferences = []string{"email", "phone", "post", "sms"}
		address     = []string{"county", "line_1", "line_2", "line_3", "post_town", "postcode", "uprn"}
	)
	equal := func(what string, got, want []string) {
		t.Helper()
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", what, got, want)
		}
	}

	full, err := record(t, testdata(t, "full.request.json")).JSON()
	if err != nil {
		t.Fatal(err)
	}
	names, all := members(t, full)
	equal("full", names, slices.Concat(required, nullable, objects))
	for _, name := range slices.Concat(required, nullable) {
		if s, ok := all[name].(string); !ok || s == "" {
			t.Errorf("%s is %v, want a string", name, all[name])
		}
	}
	equal("address", slices.Sorted(maps.Keys(all["address"].(map[string]any))), address)
	equal("preferences", slices.Sorted(maps.Keys(all["communicationPreferences"].(map[string]any))), preferences)

	minimal, err := record(t, testdata(t, "minimal.request.json")).JSON()
	if err != nil {
		t.Fatal(err)
	}
	names, all = members(t, minimal)
	equal("minimal", names, slices.Concat(required, nullable))
	for _, name := range nullable {
		if all[name] != nil {
			t.Errorf("%s is %v, want null", name, all[name])
		}
	}
	if all["status"] != "NotInvited" {
		t.Errorf("status is %v", all["status"])
	}
}

func TestTimestamp(t *testing.T) {
	got := domain.Timestamp(time.Date(2026, 3, 1, 13, 0, 0, 999_999_999, time.FixedZone("CET", 3600)))
	if want := time.Date(2026, 3, 1, 12, 0, 0, 999_999_000, time.UTC); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if now := domain.Timestamp(time.Now()); now != now.Round(0) {
		t.Error("a timestamp has a monotonic reading, which no store returns")
	}
}

func TestParseTimestamp(t *testing.T) {
	for _, s := range []string{"0000-01-01T00:00:00Z", "2026-03-01T12:00:00.123456Z", "9999-12-31T23:59:59.999999Z"} {
		if got, err := domain.ParseTimestamp(s); err != nil || got.Format(time.RFC3339Nano) != s {
			t.Errorf("got %s, %v, want %s", got, err, s)
		}
	}
	got, err := domain.ParseTimestamp("2026-03-01T13:00:00.999999999+01:00")
	if want := time.Date(2026, 3, 1, 12, 0, 0, 999_999_000, time.UTC); err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for _, s := range []string{
		"", "now", "2026-03-01", "2026-03-01 12:00:00Z", "10000-01-01T00:00:00Z",
		"9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01",
	} {
		if got, err := domain.ParseTimestamp(s); err == nil {
			t.Errorf("%q was read as %s", s, got)
		}
	}
}
