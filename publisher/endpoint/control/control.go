// Package control has what operators do with webhooks that exist: pause and resume them, test them, and deliver events again, each on the
// record. The command line and the console share it.
package control

import (
	"context"
	"errors"

	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

// Trail records actions, see audit.Recorder.
type Trail interface {
	Act(ctx context.Context, record domain.AuditRecord, do func(end *domain.AuditRecord) error) error
}

// Webhook is an endpoint as it was when it was opened.
type Webhook struct {
	endpoint.Endpoint

	JetStream jetstream.JetStream
	Bucket    *endpoint.Bucket
}

// Open opens an endpoint, or returns an *endpoint.MissingError.
func Open(ctx context.Context, js jetstream.JetStream, name string) (w Webhook, err error) {
	w.JetStream = js
	if w.Bucket, err = endpoint.Open(ctx, js); err != nil {
		return w, err
	}
	w.Endpoint, err = w.Bucket.Get(ctx, name)
	return w, err
}

// Pause has the events wait until Resume. Requests in progress complete. It returns an *endpoint.ConflictError if the endpoint was changed
// since it was opened.
func (w Webhook) Pause(ctx context.Context, trail Trail) error {
	return w.act(ctx, trail, endpoint.AuditPause, func() error {
		w.Paused = true
		return w.Bucket.Set(ctx, w.Endpoint)
	})
}

// Resume makes a paused or disabled endpoint active. A lost consumer is created again where it was. It returns an *endpoint.ConflictError
// if the endpoint was changed since it was opened.
func (w Webhook) Resume(ctx context.Context, trail Trail) error {
	return w.act(ctx, trail, endpoint.AuditResume, func() error {
		_, err := subscription.Create(ctx, w.JetStream, subscription.Config{Name: w.Name, Subjects: w.Subjects, IDOnly: w.IDOnly})
		if _, exists := errors.AsType[*subscription.ExistingError](err); err != nil && !exists {
			return err
		}
		return w.Bucket.Resume(ctx, w.Endpoint)
	})
}

// act records an action and carries it out.
func (w Webhook) act(ctx context.Context, trail Trail, action domain.AuditAction, do func() error) error {
	return trail.Act(ctx, domain.AuditRecord{Action: action, Target: w.Name}, func(*domain.AuditRecord) error { return do() })
}
