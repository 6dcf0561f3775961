package job

import (
	"context"
	"errors"
	"iter"

	"clientele/publisher"

	"golang.org/x/sync/errgroup"
)

// concurrency is how many rejections of a job are settled at once: they share writes to the audit trail.
const concurrency = 8

// Rejections is the work of a job on rejections.
type Rejections struct {
	// Each yields the rejections, and Settle settles one of them.
	Each   func(context.Context) iter.Seq2[publisher.StoredRejection, error]
	Settle func(context.Context, publisher.StoredRejection) error
}

// Run settles the rejections until all are settled, one fails in a way that affects all of them, or the context ends. Rejections in
// progress are finished.
func (w Rejections) Run(ctx context.Context, j *Job) error {
	workers, ctx := errgroup.WithContext(ctx)
	work := make(chan publisher.StoredRejection)
	for range concurrency {
		workers.Go(func() error {
			for r := range work {
				if err := count(j, r, w.Settle(ctx, r)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	workers.Go(func() error {
		defer close(work)
		for r, err := range w.Each(ctx) {
			if err != nil {
				return err
			}
			select {
			case work <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return workers.Wait()
}

// count counts a rejection. It returns the error unless that is about this rejection only.
func count(j *Job, r publisher.StoredRejection, err error) error {
	if reason, ok := errors.AsType[*publisher.SkippedError](err); ok {
		j.CountSkipped(Note{r.ID, reason.Error()})
		return nil
	}
	if err == nil {
		j.CountDone()
	}
	return err
}
