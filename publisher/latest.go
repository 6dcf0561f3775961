package publisher

import (
	"context"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// Any replica answers a look-up by id, and can be behind the leader.

const (
	// The pause between two look-ups of a message that the leader has, at first and at most.
	minLag = 10 * time.Millisecond
	maxLag = 500 * time.Millisecond
)

// isReplicated reports whether several servers have the stream.
func isReplicated(s jetstream.Stream) bool { return s.CachedInfo().Config.Replicas > 1 }

// latest reads until it finds something, or the leader does not have it.
func latest[T any](ctx context.Context, stream jetstream.Stream, read func() (T, error), leaderHas func() (bool, error)) (T, error) {
	for pause := minLag; ; pause = min(2*pause, maxLag) {
		found, err := read()
		if domain.CodeOf(err) != domain.CodeNotFound || !isReplicated(stream) {
			return found, err
		}
		has, asked := leaderHas()
		if asked != nil {
			return found, asked
		}
		if !has {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, domain.Errorf(domain.CodeUnavailable, "a replica is behind: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}
