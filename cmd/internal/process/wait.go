package process

import (
	"context"
	"fmt"
	"time"
)

const (
	waitInterval = 500 * time.Millisecond
	// reportInterval is how often a process that waits says so.
	reportInterval = 10 * time.Second
)

// Await calls f until it succeeds; meanwhile the log, every ten seconds, and readiness say that it waits for what. It
// gives up when the context ends, with an error that says what it waited for, or with the first error that is final.
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
		p.waiting.Store("waiting for " + what + ": " + p.explain(err).Error())
		if time.Since(reported) >= reportInterval {
			p.Log.Warn().Err(p.explain(err)).Msg("waiting for " + what)
			reported = time.Now()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		case <-ticker.C:
		}
	}
}
