package consumer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// backoff waits longer each time, with jitter, so that workers do not come back all at once.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: minBackoff} }

// wait returns when it is time to try again, or the context has ended.
func (b *backoff) wait(ctx context.Context) {
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2))
	defer timer.Stop()
	b.next = min(2*b.next, maxBackoff)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// What is attempted, in logs, metrics and traces.
const (
	attemptStore      = "store clients"
	attemptEvents     = "publish events"
	attemptRejections = "publish rejections"
)

// retry calls f until it succeeds. It gives up only when the context ends.
func (w *Worker) retry(ctx context.Context, what string, f func() error) error {
	backoff := newBackoff()
	for attempt := 1; ; attempt++ {
		err := w.traced(ctx, what, f)
		if err == nil {
			if attempt > 1 {
				w.cfg.Log.Info().Int("attempts", attempt).Msg(what + ": works again")
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		w.metrics.retries.WithLabelValues(what).Inc()
		w.cfg.Log.Warn().Err(err).Int("attempt", attempt).Msg(what + ": waiting to try again")
		backoff.wait(ctx)
	}
}
