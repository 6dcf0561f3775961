package doctor

import (
	"context"
	"errors"
	"time"

	"clientele/cmd/internal/refusal"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// probe is the name of a subscriber and a stream that do not exist.
const probe = "clientele-doctor"

// tryTimeout bounds one attempt.
const tryTimeout = 2 * time.Second

// mismatch is how a stream refuses a message that expects another stream. It stores nothing.
const mismatch jetstream.ErrorCode = 10060

// tryPublish publishes a message that its stream refuses, and returns nil if only that was the reason: the right exists, the stream
// answers, and nothing is stored.
func (v *visit) tryPublish(ctx context.Context, subject string, header nats.Header, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	ctx, stop := v.Refusals.During(ctx)
	defer stop()
	_, err := v.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: header, Data: body}, jetstream.WithExpectStream(probe), jetstream.WithRetryAttempts(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == mismatch {
		return nil
	}
	if err == nil {
		return errors.New("the stream has stored a message that it had to refuse")
	}
	return refusedOr(ctx, err)
}

// tryRequest sends a request about a stream that does not exist. Any answer shows that the right exists.
func (v *visit) tryRequest(ctx context.Context, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	ctx, stop := v.Refusals.During(ctx)
	defer stop()
	_, err := v.Conn.RequestWithContext(ctx, subject, nil)
	return refusedOr(ctx, err)
}

// refusedOr returns the right that ended the context, or else the error.
func refusedOr(ctx context.Context, err error) error {
	if right, ok := errors.AsType[*refusal.PermissionError](context.Cause(ctx)); ok && err != nil {
		return right
	}
	return err
}
