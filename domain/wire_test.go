package domain_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"clientele/domain"
)

func TestDecode(t *testing.T) {
	good := newCommand(t, domain.Details{FirstName: "Jane", LastName: "Smith", EmailAddress: "jsmith@example.com"})
	good.KeyID = "jnm3d5p7"
	headers := func() map[string][]string { return domain.EncodeCommand(good, "").Header }
	without := func(name string) map[string][]string { h := headers(); delete(h, name); return h }
	with := func(name, value string) map[string][]string { h := headers(); h[name] = []string{value}; return h }
	invalid := newCommand(t, domain.Details{FirstName: "Jane", LastName: strings.Repeat("x", 256), EmailAddress: "jsmith@example.com"})

	for _, c := range []struct {
		name, subject string
		header        map[string][]string
		body          string
		want          domain.Code
	}{
		{"as an ingress writes it", good.ID.String(), headers(), string(good.Body), ""},
		{"id is no UUID", "x", headers(), string(good.Body), domain.CodeUndecodable},
		{"id is not canonical", strings.ToUpper(good.ID.String()), headers(), string(good.Body), domain.CodeUndecodable},
		{"no headers", good.ID.String(), nil, string(good.Body), domain.CodeUndecodable},
		{"no fingerprint", good.ID.String(), without(domain.HeaderFingerprint), string(good.Body), domain.CodeUndecodable},
		{"a caller that no database stores", good.ID.String(), with(domain.HeaderCaller, "a\x00"), string(good.Body), domain.CodeUndecodable},
		{"a caller in Latin-1", good.ID.String(), with(domain.HeaderCaller, "\xe9"), string(good.Body), domain.CodeUndecodable},
		{"a key on two lines", good.ID.String(), with(domain.HeaderKeyID, "a\nb"), string(good.Body), domain.CodeUndecodable},
		{"the longest caller", good.ID.String(), with(domain.HeaderCaller, strings.Repeat("x", domain.MaxCaller)), string(good.Body), ""},
		{"a caller that no ingress has", good.ID.String(), with(domain.HeaderCaller, strings.Repeat("x", domain.MaxCaller+1)), string(good.Body), domain.CodeUndecodable},
		{"a key that no ingress has", good.ID.String(), with(domain.HeaderKeyID, strings.Repeat("x", domain.MaxCaller+1)), string(good.Body), domain.CodeUndecodable},
		{"no time", good.ID.String(), without(domain.HeaderAcceptedAt), string(good.Body), domain.CodeUndecodable},
		{"no such time", good.ID.String(), with(domain.HeaderAcceptedAt, "now"), string(good.Body), domain.CodeUndecodable},
		{
			"a time that cannot be written in UTC", good.ID.String(),
			with(domain.HeaderAcceptedAt, "9999-12-31T23:59:59-00:01"), string(good.Body), domain.CodeUndecodable,
		},
		{"of release 0.1", good.ID.String(), without(domain.HeaderRules), string(good.Body), ""},
		{"of the next version", good.ID.String(), with(domain.HeaderRules, strconv.Itoa(domain.Rules+1)), `{"x":1}`, domain.CodeNewer},
		{"of no version", good.ID.String(), with(domain.HeaderRules, "0"), string(good.Body), domain.CodeUndecodable},
		{"of an unknown version", good.ID.String(), with(domain.HeaderRules, "two"), string(good.Body), domain.CodeUndecodable},
		{"another's fingerprint", good.ID.String(), domain.EncodeCommand(invalid, "").Header, string(good.Body), domain.CodeUndecodable},
		{"no JSON", good.ID.String(), headers(), "garbage", domain.CodeUndecodable},
		{"empty", good.ID.String(), headers(), "", domain.CodeUndecodable},
		{"breaks a rule", invalid.ID.String(), domain.EncodeCommand(invalid, "").Header, string(invalid.Body), domain.CodeInvalid},
		{"unknown member", good.ID.String(), headers(), `{"x":1}`, domain.CodeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := domain.CommandMessage{
				Subject: domain.SubjectCreate + c.subject, Header: c.header, Body: []byte(c.body),
			}.Decode()
			if domain.CodeOf(err) != c.want {
				t.Fatalf("code %q, want %q: %v", domain.CodeOf(err), c.want, err)
			}
			if err == nil && (got.ID != good.ID || got.Caller != c.header[domain.HeaderCaller][0] || got.KeyID != good.KeyID || got.Fingerprint != good.Fingerprint || !got.AcceptedAt.Equal(good.AcceptedAt)) {
				t.Errorf("decoded %+v", got)
			}
		})
	}
}

// A date of birth that was in the past when the command was accepted is valid on a worker whose clock is behind.
func TestDecodeAsksNoClock(t *testing.T) {
	yesterday := time.Date(2999, 5, 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	c, err := domain.NewCreateClient(domain.KeyedID(secret, "tester", "1"), "tester", time.Date(2999, 5, 2, 0, 0, 1, 0, time.UTC), domain.Details{
		FirstName: "Jane", LastName: "Smith", EmailAddress: "jsmith@example.com", DOB: &yesterday,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := domain.EncodeCommand(c, "").Decode(); err != nil {
		t.Error(err)
	}
}

func newCommand(t *testing.T, d domain.Details) domain.CreateClient {
	t.Helper()
	c, err := domain.NewCreateClient(domain.KeyedID(secret, "tester", d.LastName), "tester", today, d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
