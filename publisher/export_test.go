package publisher

import (
	"context"
	"slices"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// Original appends a command that the log has, and calls between after the log has refused it.
func (l *Log) Original(ctx context.Context, command domain.CreateClient, between func()) (time.Time, error) {
	err := l.publishCommand(ctx, command, "")
	between()
	return l.original(ctx, command, err)
}

// Remembered returns which of the commands with these ids a log remembers when it has published them in this order.
func Remembered(ids []uuid.UUID) (remembered []uuid.UUID) {
	var r recent
	for _, id := range ids {
		r.published(id)
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return !r.has(id) })
}

// The steps of Retry, for tests that stop between them.

func (r *Rejections) Forget(ctx context.Context, rejection StoredRejection) error {
	return r.forget(ctx, rejection)
}

func (r *Rejections) Republish(rejection StoredRejection) error { return r.republish(rejection) }

func (r *Rejections) Remove(ctx context.Context, rejection StoredRejection) error {
	return r.remove(ctx, rejection)
}
