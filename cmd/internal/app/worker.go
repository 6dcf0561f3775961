package app

import (
	"context"
	"time"

	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/consumer/redo"
	"clientele/publisher"
)

// WorkerOptions configure the worker.
type WorkerOptions struct {
	// History is how long a completed command stays on the log; less when the log is a quarter full or has 50,000 commands.
	History time.Duration
	// BatchSize is the largest number of clients in one transaction, 1 to 1000.
	BatchSize int
	// Concurrency is how many batches are processed at once under load, 1 to 64.
	Concurrency int
}

func (o *WorkerOptions) validate() error {
	switch {
	case o == nil:
		return nil
	case o.History < 0:
		return option.Invalid("must not be negative", option.History)
	case o.BatchSize < 1 || o.BatchSize > 1000:
		return option.Invalid("must be from 1 to 1000", option.BatchSize)
	case o.Concurrency < 1 || o.Concurrency > 64:
		return option.Invalid("must be from 1 to 64", option.Concurrency)
	}
	return nil
}

// start processes the command log.
func (o *WorkerOptions) start(ctx context.Context, p *process.Process, b *backends) ([]process.Check, error) {
	if err := await(ctx, p, "the database", b.db.Writable); err != nil {
		return nil, err
	}
	follower, err := redo.NewFollower(redo.FollowerConfig{Conn: b.conn, Store: b.db, Log: p.Log, Metrics: p.Metrics})
	if err != nil {
		return nil, err
	}
	var outcomes *publisher.OutcomePublisher
	var worker *consumer.Worker
	err = await(ctx, p, "the command log", func(ctx context.Context) (err error) {
		if outcomes, err = publisher.OpenOutcomePublisher(ctx, b.conn); err != nil {
			return err
		}
		worker, err = consumer.New(ctx, consumer.Config{
			Conn:        b.conn,
			Store:       b.db,
			Outcomes:    outcomes,
			Rejections:  b.db,
			Restore:     follower.Restore,
			Log:         p.Log,
			BatchSize:   o.BatchSize,
			Concurrency: o.Concurrency,
			History:     o.History,
			Full:        b.dir.Full,
			Metrics:     p.Metrics,
			Traces:      p.Traces,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Asked.MustRegister(worker)
	p.Go(ctx, "worker", worker.Run)
	p.Go(ctx, "follower", follower.Run)
	return []process.Check{
		{Name: "outcome streams", Probe: outcomes.Ready},
		{Name: "consumer", Probe: worker.Ready},
		{Name: "commands", Optional: true, Probe: worker.Unpaused},
	}, nil
}
