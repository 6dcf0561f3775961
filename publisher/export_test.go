package publisher

import (
	"context"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go"
)

// Original appends a command that the log has, and calls between after the log has refused it.
func (l *Log) Original(ctx context.Context, command domain.CreateClient, between func()) (time.Time, error) {
	err := l.publish(ctx, command.ID, func() *nats.Msg { return commandMessage(command, "") })
	between()
	return l.original(ctx, command, err)
}

// The steps of Retry, for tests that stop between them.

func (r *Rejections) Forget(ctx context.Context, rejection StoredRejection) error {
	return r.forget(ctx, rejection)
}

func (r *Rejections) Republish(rejection StoredRejection) error { return r.republish(rejection) }

func (r *Rejections) Remove(ctx context.Context, rejection StoredRejection) error {
	return r.remove(ctx, rejection)
}

// ReadUpTo sets the sequence of the last event, as if the server of the consumer had received fewer events than the leader.
func (r *EventReader) ReadUpTo(last uint64) { r.last = last }
