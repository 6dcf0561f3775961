package process

import (
	"context"
	"fmt"
	"time"
)

const (
	waitInterval = 500 * time.Millisecond
	// reportInterval is the interval of the log lines of a waiting process.
	reportInterval = 10 * time.Second
)

// Await calls f every 0.5 s until it succeeds, or until final reports true for its error. Meanwhile, /readyz and a log line every
// 10 s name what it waits for. If the context ends, Await returns the last error.
func (p *Process) Await(ctx context.Context, what string, f func(context.Context) error, final func(error) bool) error {
	defer p.waiting.Store("")
	ticker := time.NewTicker(waitInterval)
	defer ticker.Stop()
	var reported time.Time
	for {
		err := f(ctx)
		if err == nil {
			if !reported.IsZero() {
				p.Log.Info().Msg(what + " is available")
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
