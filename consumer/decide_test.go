package consumer_test

import (
	"strings"
	"testing"
	"time"

	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

func TestDecide(t *testing.T) {
	stored := domain.Client{Details: domain.Details{FirstName: "Stored"}}
	for _, c := range []struct {
		name    string
		outcome domain.CreateOutcome
		reason  domain.Code
	}{
		{"a new client gets its event", domain.Created, ""},
		{"a replayed one gets it again", domain.Replayed, ""},
		{"another one under its id is rejected", domain.Conflict, domain.CodeKeyReused},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, reason := consumer.Decide(domain.CreateResult{Outcome: c.outcome, Client: stored})
			if reason != c.reason {
				t.Errorf("reason %q, want %q", reason, c.reason)
			}
			if reason == "" && client.FirstName != "Stored" {
				t.Error("the event is not of what the store holds")
			}
		})
	}
}

func TestDecode(t *testing.T) {
	good := publishertest.Command(t, publishertest.NewID(t), "Smith")
	headers := func() nats.Header { return messageOf(good).Header }
	without := func(name string) nats.Header { h := headers(); h.Del(name); return h }
	with := func(name, value string) nats.Header { h := headers(); h.Set(name, value); return h }
	invalid := publishertest.Command(t, publishertest.NewID(t), strings.Repeat("x", 256))

	for _, c := range []struct {
		name, subject string
		header        nats.Header
		body          string
		want          domain.Code
	}{
		{"as an ingress writes it", good.ID.String(), headers(), string(good.Body), ""},
		{"id is no UUID", "x", headers(), string(good.Body), domain.CodeUndecodable},
		{"id is not canonical", strings.ToUpper(good.ID.String()), headers(), string(good.Body), domain.CodeUndecodable},
		{"no headers", good.ID.String(), nil, string(good.Body), domain.CodeUndecodable},
		{"no fingerprint", good.ID.String(), without(domain.HeaderFingerprint), string(good.Body), domain.CodeUndecodable},
		{"no time", good.ID.String(), without(domain.HeaderAcceptedAt), string(good.Body), domain.CodeUndecodable},
		{"no such time", good.ID.String(), with(domain.HeaderAcceptedAt, "now"), string(good.Body), domain.CodeUndecodable},
		{
			"a time that cannot be written in UTC", good.ID.String(),
			with(domain.HeaderAcceptedAt, "9999-12-31T23:59:59-00:01"), string(good.Body), domain.CodeUndecodable,
		},
		{"another's fingerprint", good.ID.String(), messageOf(invalid).Header, string(good.Body), domain.CodeUndecodable},
		{"no JSON", good.ID.String(), headers(), "garbage", domain.CodeUndecodable},
		{"empty", good.ID.String(), headers(), "", domain.CodeUndecodable},
		{"breaks a rule", invalid.ID.String(), messageOf(invalid).Header, string(invalid.Body), domain.CodeInvalid},
		{"unknown member", good.ID.String(), headers(), `{"x":1}`, domain.CodeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := consumer.Decode(domain.SubjectCreate+c.subject, c.header.Get, []byte(c.body))
			if domain.CodeOf(err) != c.want {
				t.Fatalf("code %q, want %q: %v", domain.CodeOf(err), c.want, err)
			}
			if err == nil && (got.ID != good.ID || got.Fingerprint != good.Fingerprint || !got.AcceptedAt.Equal(good.AcceptedAt)) {
				t.Errorf("decoded %+v", got)
			}
		})
	}
}

// A date of birth that was past when the command was accepted is past for a worker whose clock is behind, too.
func TestDecodeAsksNoClock(t *testing.T) {
	yesterday := time.Date(2999, 5, 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	c, err := domain.NewCreateClient(publishertest.NewID(t), "tester", time.Date(2999, 5, 2, 0, 0, 1, 0, time.UTC), domain.Details{
		FirstName: "Jane", LastName: "Smith", EmailAddress: "jsmith@example.com", DOB: &yesterday,
	})
	if err != nil {
		t.Fatal(err)
	}
	msg := messageOf(c)
	if _, err := consumer.Decode(msg.Subject, msg.Header.Get, msg.Data); err != nil {
		t.Error(err)
	}
}
