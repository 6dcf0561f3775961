package publisher

import (
	"context"
	"slices"
	"time"

	"clientele/domain"
	"clientele/publisher/bulk"

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

// Pool is the pool of a Log.
type Pool struct{ *pool }

func NewPool() Pool { return Pool{newPool(bulk.MaxBatch)} }

// Do has Run publish a request, and returns when it has.
func (p Pool) Do() error {
	r := &request{id: uuid.New(), answer: make(chan error, 1)}
	p.add(r)
	return <-r.answer
}

// Run calls publish with the size of each batch until the pool is closed and empty.
func (p Pool) Run(publish func(n int)) {
	p.run(func(requests []*request) {
		publish(len(requests))
		for _, r := range requests {
			r.answer <- nil
		}
	})
}

func (p Pool) Close() { p.close() }

// The steps of Retry, for tests that stop between them.

func (r *Rejections) Forget(ctx context.Context, rejection StoredRejection) error {
	return r.forget(ctx, rejection)
}

func (r *Rejections) Republish(rejection StoredRejection) error { return r.republish(rejection) }

func (r *Rejections) Remove(ctx context.Context, rejection StoredRejection) error {
	return r.remove(ctx, rejection)
}
