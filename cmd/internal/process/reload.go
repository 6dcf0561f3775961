package process

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// reloadInterval is how often files are looked at.
const reloadInterval = time.Second

// Reload calls load now, and again whenever one of the files has changed or was replaced. The first call's error is returned. A later
// error is logged once, and load is called again until it succeeds.
func (p *Process) Reload(ctx context.Context, name string, files []string, load func() error) error {
	before := look(files)
	if err := load(); err != nil {
		return err
	}
	p.Go(ctx, "reloading "+name, func(ctx context.Context) {
		ticker := time.NewTicker(reloadInterval)
		defer ticker.Stop()
		said := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			now := look(files)
			if now == before {
				continue
			}
			if err := load(); err != nil {
				if err.Error() != said {
					p.Log.Error().Err(err).Msg("cannot read " + name + " again, what was read before stays in force")
				}
				said = err.Error()
				continue
			}
			before, said = now, ""
			p.Log.Info().Msg("read " + name + " again")
		}
	})
	return nil
}

// look returns what changes when one of the files does.
func look(files []string) string {
	var state strings.Builder
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			var inode uint64
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				inode = stat.Ino
			}
			fmt.Fprint(&state, inode, info.Size(), info.ModTime().UnixNano())
		}
		state.WriteByte(';')
	}
	return state.String()
}
