package consumer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// backoff waits longer each time. Jitter keeps workers from trying again all at once.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: minBackoff} }

// wait returns when the next attempt is due, or when the context ends.
func (b *backoff) wait(ctx context.Context) {
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2))
	defer timer.Stop()
	b.next = min(2*b.next, maxBackoff)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// retrier repeats failed attempts, and logs and counts them.
type retrier struct {
	log     zerolog.Logger
	metrics metrics
	tracer  trace.Tracer
}

// retry calls f until it succeeds. It gives up only when the context ends.
func (r retrier) retry(ctx context.Context, what string, f func() error) error {
	backoff := newBackoff()
	for attempt := 1; ; attempt++ {
		err := traced(ctx, r.tracer, what, f)
		if err == nil {
			if attempt > 1 {
				r.log.Info().Int("attempts", attempt).Msg(what + ": succeeded")
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		r.metrics.retries.WithLabelValues(what).Inc()
		r.log.Warn().Err(err).Int("attempt", attempt).Msg(what + ": waiting to try again")
		backoff.wait(ctx)
	}
}
