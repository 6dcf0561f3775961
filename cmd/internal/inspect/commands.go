package inspect

import (
	"context"
	"errors"

	"clientele/domain"
	"clientele/publisher/streams"
	"clientele/publisher/workers"

	"github.com/nats-io/nats.go/jetstream"
)

// commands returns the state of the consumer of the workers, and what the server says about it, or nil.
func (l *Looker) commands(ctx context.Context) (Commands, *jetstream.ConsumerInfo) {
	log, err := streams.Open(ctx, l.js, domain.StreamCommands)
	if err != nil {
		return Commands{Error: l.failure(ctx, err)}, nil
	}
	consumer, err := log.Consumer(ctx, domain.ConsumerWorker)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return Commands{Error: "consumer " + domain.ConsumerWorker + " is missing"}, nil
	}
	if err != nil {
		return Commands{Error: l.failure(ctx, err)}, nil
	}
	info := consumer.CachedInfo()
	c := Commands{
		Completed: info.AckFloor.Stream, Backlog: info.NumPending + uint64(info.NumAckPending), Waiting: info.NumPending,
		InProgress: info.NumAckPending, Redelivered: info.NumRedelivered, Fetches: info.NumWaiting, Paused: workers.PausedOf(ctx, l.js, info),
	}
	if c.Backlog > 0 {
		c.OldestSeconds = ageOf(ctx, log, info.AckFloor.Stream+1, ">").Seconds()
	}
	return c, info
}

// Count returns how many messages the log has ever stored, and the number of the last one below which all have their outcome, see
// Commands. It is the part of a look from which rates are computed, so the next look has some.
func (l *Looker) Count(ctx context.Context) (accepted, completed uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	log, err := streams.Open(ctx, l.js, domain.StreamCommands)
	if err != nil {
		return 0, 0, err
	}
	worker, err := log.Consumer(ctx, domain.ConsumerWorker)
	if err != nil {
		return 0, 0, err
	}
	l.before = newSample(log.CachedInfo(), worker.CachedInfo())
	return l.before.accepted, l.before.completed, nil
}
