// Package demo makes an installation look busy, for clientele demo: a trickle of synthetic clients, a few commands that the worker
// rejects, and a receiver of webhooks that is sometimes unavailable. Names, addresses and telephone numbers are reserved for examples.
package demo

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Config configures Run.
type Config struct {
	// APIURL is the URL of the API.
	APIURL string
	// JetStream has the rights to publish commands. The API would refuse the ones that the worker has to reject.
	JetStream jetstream.JetStream
	// Rate is how many clients are created per second, at least 0.1.
	Rate float64
	Log  zerolog.Logger
}

// rejectedEvery is how many clients are created for each command that the worker rejects.
const rejectedEvery = 20

// requestTimeout bounds a request to the API, and a publish.
const requestTimeout = 10 * time.Second

// Run creates clients until the context ends. It logs what fails, and goes on.
func Run(ctx context.Context, cfg Config) {
	var running sync.WaitGroup
	running.Go(func() { cfg.every(ctx, 1, func(ctx context.Context) error { return create(ctx, cfg.APIURL) }) })
	running.Go(func() {
		cfg.every(ctx, rejectedEvery, func(ctx context.Context) error { return publishInvalid(ctx, cfg.JetStream) })
	})
	running.Wait()
}

// every calls f once for each n clients, at irregular times, until the context ends. Independent callers have exponential pauses.
func (cfg Config) every(ctx context.Context, n float64, f func(context.Context) error) {
	for {
		pause := time.Duration(rand.ExpFloat64() * n / cfg.Rate * float64(time.Second))
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(pause, time.Minute)):
		}
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		if err := f(attempt); err != nil && ctx.Err() == nil {
			cfg.Log.Warn().Err(err).Msg("the demo cannot create a client")
		}
		cancel()
	}
}
