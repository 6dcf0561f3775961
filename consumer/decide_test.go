package consumer_test

import (
	"testing"

	"clientele/consumer"
	"clientele/domain"
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
		{"an erased one is rejected", domain.Erased, domain.CodeErased},
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
