package subscription

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// positionInterval is how old a recorded position may be. A new consumer repeats the events of this time.
const positionInterval = time.Minute

// positionTimeout bounds one look-up and record of a position.
const positionTimeout = 5 * time.Second

// SavePositions records how far a subscriber is until the context ends, and once more then. It reports errors, and goes on.
func SavePositions(ctx context.Context, js jetstream.JetStream, name string, report func(error)) {
	ticker := time.NewTicker(positionInterval)
	defer ticker.Stop()
	saved, err := saveChanged(context.WithoutCancel(ctx), js, name, -1)
	for running := true; ; {
		if err != nil {
			report(err)
		}
		if !running {
			return
		}
		select {
		case <-ctx.Done():
			running = false
		case <-ticker.C:
		}
		saved, err = saveChanged(context.WithoutCancel(ctx), js, name, saved)
	}
}

// saveChanged records the position, unless it is the saved one, and returns it.
func saveChanged(ctx context.Context, js jetstream.JetStream, name string, saved int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, positionTimeout)
	defer cancel()
	consumer, err := Open(ctx, js, name)
	if err != nil {
		return saved, err
	}
	info := consumer.CachedInfo()
	accepted := int64(info.AckFloor.Stream)
	if accepted == saved {
		return saved, nil
	}
	if err := savePosition(ctx, js, info); err != nil {
		return saved, err
	}
	return accepted, nil
}
