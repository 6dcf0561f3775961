package process

import (
	"context"
	"time"
)

const (
	waitInterval = 500 * time.Millisecond
	// reportInterval is how often a process that waits says so.
	reportInterval = 10 * time.Second
)

// Await calls f until it succeeds; meanwhile the log, every ten seconds, and readiness say that it waits for what. It
// gives up when the context ends, or with the first error that is final: one that waiting does not mend.
func (p *Process) Await(ctx context.Context, what string, f func(context.Context) error, final func(error) bool) error {
	defer p.waiting.Store("")
	ticker := time.NewTicker(waitInterval)
	defer ticker.Stop()
	var reported time.Time
	for {
		err := f(ctx)
		if err == nil {
			if !reported.IsZero() {
				p.Log.Info().Msg(what + " is there")
			}
			return nil
		}
		if final(err) {
			return err
		}
		p.waiting.Store("waiting for " + what + ": " + err.Error())
		if time.Since(reported) >= reportInterval {
			p.Log.Warn().Err(err).Msg("waiting for " + what)
			reported = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
