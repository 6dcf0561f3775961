package process

import (
	"context"
	"time"
)

// reloadInterval is the interval at which files are read again.
const reloadInterval = time.Second

// Reload calls load now and every second. load reads files and reports whether their content has changed: a changed owner or mode is
// noticed only by reading. Reload returns the error of the first call. A later error is logged once, and load decides what stays in use.
func (p *Process) Reload(ctx context.Context, name string, load func() (changed bool, err error)) error {
	if _, err := load(); err != nil {
		return err
	}
	p.Go(ctx, "reloading "+name, func(ctx context.Context) {
		ticker := time.NewTicker(reloadInterval)
		defer ticker.Stop()
		logged := "" // the last error
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			changed, err := load()
			switch {
			case err != nil && err.Error() != logged:
				p.Log.Error().Err(err).Msg("cannot reload " + name)
				logged = err.Error()
			case err == nil && (changed || logged != ""):
				p.Log.Info().Msg("reloaded " + name)
				logged = ""
			}
		}
	})
	return nil
}
