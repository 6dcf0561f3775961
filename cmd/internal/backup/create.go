package backup

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"clientele/domain"
)

// clockSkew is how far the clocks of the workers and of this machine may be apart.
const clockSkew = time.Hour

// Create copies everything into the directory while Clientele runs.
//
// The log comes first, and the database last. So what the log takes for done has its row, its event or its rejection in the
// rest of the copy; what it does not take for done is worked on again after a restore. And each event has its row, since
// the row is there first. Left are clients whose events were published after the events were copied: they are noted.
func Create(ctx context.Context, cfg Config) (m Manifest, err error) {
	if err := newDir(cfg.Dir); err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w; the backup in %s is not complete: remove it", err, cfg.Dir)
		}
	}()
	m = Manifest{Format: format, ID: rand.Text(), Clientele: cfg.Version, Began: time.Now().UTC()}
	since := m.Began.Add(-clockSkew)
	published := map[string]bool{}
	for _, name := range streams {
		s, err := snapshot(ctx, cfg, &m, name)
		if err != nil {
			return m, fmt.Errorf("copy stream %s: %w", name, err)
		}
		each := func(message) {}
		if name == domain.StreamEvents {
			if s.config.MaxAge > 0 && s.config.MaxAge < clockSkew {
				since = m.Began.Add(-s.config.MaxAge) // what is older may have expired
			}
			each = func(msg message) {
				if !msg.time.Before(since.Add(-clockSkew)) {
					published[msg.header("ce-subject")] = true
				}
			}
		}
		stream, err := s.read(ctx, cfg, each)
		if err != nil {
			return m, fmt.Errorf("read back the copy of stream %s: %w", name, err)
		}
		m.Streams = append(m.Streams, stream)
	}
	err = writeClients(ctx, cfg, &m, func(c domain.Client) bool {
		return !c.CreatedAt.Before(since) && !published[c.ID.String()]
	})
	if err != nil {
		return m, err
	}
	m.Ended = time.Now().UTC()
	return m, m.write(cfg.Dir)
}
