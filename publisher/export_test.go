package publisher

import "context"

// The steps of Retry, for tests that stop between them.

func (r *Rejections) Forget(ctx context.Context, rejection StoredRejection) error {
	return r.forget(ctx, rejection)
}

func (r *Rejections) Republish(rejection StoredRejection) error { return r.republish(rejection) }

func (r *Rejections) Remove(ctx context.Context, rejection StoredRejection) error {
	return r.remove(ctx, rejection)
}
