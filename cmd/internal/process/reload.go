package process

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// reloadInterval is the interval at which files are checked for changes.
const reloadInterval = time.Second

// Reload calls load now, and again whenever one of the files was changed or replaced. It returns the error of the first call. The
// error of a later call is logged once, and load is called every second until it succeeds.
func (p *Process) Reload(ctx context.Context, name string, files []string, load func() error) error {
	loaded := state(files)
	if err := load(); err != nil {
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
			current := state(files)
			if current == loaded {
				continue
			}
			if err := load(); err != nil {
				if err.Error() != logged {
					p.Log.Error().Err(err).Msg("cannot reload " + name + "; the previous content stays in use")
				}
				logged = err.Error()
				continue
			}
			loaded, logged = current, ""
			p.Log.Info().Msg("reloaded " + name)
		}
	})
	return nil
}

// state returns a string that changes when one of the files changes.
func state(files []string) string {
	var s strings.Builder
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			var inode uint64
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				inode = stat.Ino
			}
			fmt.Fprint(&s, inode, info.Size(), info.ModTime().UnixNano())
		}
		s.WriteByte(';')
	}
	return s.String()
}
