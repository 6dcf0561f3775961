package demo

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// invalid are members that break a rule, and the callers that send them. A caller with one fault in its program repeats it.
var invalid = [...]struct{ caller, member string }{
	{"crm", `"dob": "2999-12-31"`},
	{"crm", `"dob": "2999-12-31"`},
	{"web-form", `"niNumber": "not a number"`},
	{"legacy-import", `"altTelephoneNumber": "020 7946 0958"`},
	{"legacy-import", `"avatarUrl": "ftp://example.com/me.png"`},
}

// publishInvalid publishes a command that the worker rejects, as a program that bypasses the API would.
func publishInvalid(ctx context.Context, js jetstream.JetStream) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	fault := invalid[rand.IntN(len(invalid))]
	content := []byte(body(fault.member))
	m := domain.EncodeCommand(domain.CreateClient{
		ID: id, Caller: fault.caller, AcceptedAt: domain.Timestamp(time.Now()), Fingerprint: sha256.Sum256(content), Body: content,
	}, "")
	_, err = js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Body})
	return err
}
