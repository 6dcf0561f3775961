package backup

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"clientele/domain"
)

// clockSkew is the maximum difference between the clocks of the workers and of this machine.
const clockSkew = time.Hour

// Create copies the streams and the clients to the directory. Clientele may run meanwhile.
//
// Create copies the log first and the database last. So every finished command of the copied log has its outcome in the rest of
// the copy, and workers process the others after a restore. Each copied event has its row, because the row is stored first. A
// client whose event was published after the events were copied is marked with EventMissing.
func Create(ctx context.Context, cfg Config) (m Manifest, err error) {
	if err := newDir(cfg.Dir); err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w; the backup in %s is incomplete: remove it", err, cfg.Dir)
		}
	}()
	m = Manifest{Format: format, ID: rand.Text(), Clientele: cfg.Version, Began: time.Now().UTC()}
	since := m.Began.Add(-clockSkew)
	published := map[string]bool{}
	for _, name := range streamNames {
		s, err := snapshot(ctx, cfg, &m, name)
		if err != nil {
			return m, fmt.Errorf("copy stream %s: %w", name, err)
		}
		each := func(message) {}
		if name == domain.StreamEvents {
			if s.config.MaxAge > 0 && s.config.MaxAge < clockSkew {
				since = m.Began.Add(-s.config.MaxAge) // older events may have expired
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
