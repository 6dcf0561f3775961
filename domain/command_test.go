package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"clientele/domain"
)

// Streams and rows contain the canonical JSON and its hash. A change to them breaks idempotency for retries across the release.
func TestCommandGolden(t *testing.T) {
	for name, fingerprint := range map[string]string{
		"full":    "8c90f8fe1f2b46dbcf357e7bace6b84f504477c6d7af453e55a3e20c3b53e359",
		"minimal": "9017d5c7bab542ae3ffc91b73c44aaf8674ca7b351e2e1a996146900010d4521",
	} {
		t.Run(name, func(t *testing.T) {
			c := command(t, testdata(t, name+".request.json"))
			golden(t, name+".command.json", c.Body)
			if got := c.Fingerprint.String(); got != fingerprint {
				t.Errorf("fingerprint %s, want %s", got, fingerprint)
			}
		})
	}
}

func TestFingerprintMeansTheSameClient(t *testing.T) {
	fingerprint := func(members string) domain.Fingerprint { return command(t, []byte(minimal(members))).Fingerprint }
	want := fingerprint(`"title": "Zoë", "niNumber": "AB123456C", "address": {"line_1": "1", "postcode": "M1 1AE"}`)
	for name, members := range map[string]string{
		"order and spacing": `"address":{"postcode":"M1 1AE","line_1":"1"},"niNumber":"AB123456C",   "title":"Zoë"`,
		"escapes": `"\u0074itle": "\u005ao\u00EB", "niNumber": "AB123456C",
			"address": {"line_1": "\u0031", "postcode": "M1 1AE"}`,
		"normalisation": `"title": " Zoe\u0308 ", "niNumber": "ab 12 34 56 c",
			"address": {"line_1": "1 ", "postcode": "m11ae"}`,
		"nothing more": `"title": "Zoë", "niNumber": "AB123456C", "dob": null, "pronouns": " ",
			"address": {"line_1": "1", "line_2": "", "county": null, "postcode": "M1 1AE"}`,
	} {
		if fingerprint(members) != want {
			t.Errorf("%s: another fingerprint", name)
		}
	}
	for name, members := range map[string]string{
		"letter case":    `"title": "zoë", "niNumber": "AB123456C", "address": {"line_1": "1", "postcode": "M1 1AE"}`,
		"another member": `"pronouns": "Zoë", "niNumber": "AB123456C", "address": {"line_1": "1", "postcode": "M1 1AE"}`,
		"one less":       `"title": "Zoë", "address": {"line_1": "1", "postcode": "M1 1AE"}`,
		"one more": `"title": "Zoë", "niNumber": "AB123456C", "communicationPreferences": {},
			"address": {"line_1": "1", "postcode": "M1 1AE"}`,
	} {
		if fingerprint(members) == want {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
}

func TestNewCreateClient(t *testing.T) {
	d := parse(t, testdata(t, "minimal.request.json"))
	id := domain.KeyedID(secret, "crm", "order-1")
	local := time.Date(2026, 3, 1, 13, 0, 0, 123456789, time.FixedZone("CET", 3600))
	c, err := domain.NewCreateClient(id, "crm", local, d)
	if err != nil {
		t.Fatal(err)
	}
	c.KeyID = "jnm3d5p7"
	acceptedAt := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	if c.ID != id || c.Caller != "crm" || c.AcceptedAt != acceptedAt {
		t.Errorf("got %s of %s at %s", c.ID, c.Caller, c.AcceptedAt)
	}
	got := c.Client(local.Add(time.Second))
	want := domain.Client{
		ID: id, Details: d, Status: domain.StatusNotInvited,
		Fingerprint: c.Fingerprint, Caller: "crm", KeyID: "jnm3d5p7", AcceptedAt: acceptedAt, CreatedAt: acceptedAt.Add(time.Second),
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestKeyedID(t *testing.T) {
	for _, c := range []struct {
		secret, want string
		version      uuid.Version
	}{
		{"", "7ec520ee-8b61-5dbe-9edb-7bbff23cbe70", 5}, // of version 0.1
		{secret, "7def68e9-0379-8a33-a403-6ae2d29b8fde", 8},
		{"another secret", "", 8},
	} {
		id := domain.KeyedID(c.secret, "crm", "order-1")
		if c.want != "" && id.String() != c.want {
			t.Errorf("got %s, want %s: retries across the release would create clients twice", id, c.want)
		}
		if id.Version() != c.version || id.Variant() != uuid.RFC4122 {
			t.Errorf("%s is of version %d, %s", id, id.Version(), id.Variant())
		}
	}
}

func TestKeyedIDsDiffer(t *testing.T) {
	seen := map[uuid.UUID]string{}
	for _, pair := range [][3]string{
		{"crm", "order-1"},
		{"crm", "order-1", "another secret"},
		{"crm", "order-2"},
		{"web", "order-1"},
		{"crmorder", "-1"},
		{"crmo", "rder-1"},
		{"", "crmorder-1"},
		{"crmorder-1", ""},
		{"", ""},
		{"order-1", "crm"},
	} {
		id := domain.KeyedID(secret+pair[2], pair[0], pair[1])
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q share %s", pair, other, id)
		}
		seen[id] = strings.Join(pair[:], ", ")
	}
}

func TestNewID(t *testing.T) {
	var last uuid.UUID
	for range 1000 {
		id, err := domain.NewID()
		if err != nil {
			t.Fatal(err)
		}
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("%s is of version %d, %s", id, id.Version(), id.Variant())
		}
		if id.String() <= last.String() {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
}

func TestParseID(t *testing.T) {
	const canonical = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	for _, s := range []string{canonical, strings.ToUpper(canonical), "3C90c3cc-0d44-4b50-8888-8DD25736052a"} {
		if id, err := domain.ParseID(s); err != nil || id.String() != canonical {
			t.Errorf("%s: got %s, %v", s, id, err)
		}
	}
	for _, s := range []string{
		"", "3", strings.ToUpper("{" + canonical + "}"), strings.ReplaceAll(canonical, "-", ""), "urn:uuid:" + canonical,
		"{" + canonical + "}", `"` + canonical + `"`, canonical + " ", " " + canonical, canonical[:35], canonical + "a",
		strings.Replace(canonical, "3", "g", 1), strings.Replace(canonical, "-", "_", 1), "ada@example.com",
	} {
		id, err := domain.ParseID(s)
		if err == nil || id != uuid.Nil {
			t.Errorf("%q was read as %s, %v", s, id, err)
		} else if len(s) > 1 && strings.Contains(err.Error(), s) {
			t.Errorf("%q is repeated in %q", s, err)
		}
	}
}

func TestParseFingerprint(t *testing.T) {
	f := command(t, testdata(t, "full.request.json")).Fingerprint
	if got, err := domain.ParseFingerprint(f.String()); err != nil || got != f {
		t.Errorf("got %s, %v, want %s", got, err, f)
	}
	for _, s := range []string{
		"", f.String()[:62], f.String()[:63], f.String() + "0", f.String() + "00",
		f.String()[:63] + "g", f.String()[:63] + " ",
	} {
		if got, err := domain.ParseFingerprint(s); err == nil || got != (domain.Fingerprint{}) {
			t.Errorf("%q was read as %s, %v", s, got, err)
		}
	}
}
