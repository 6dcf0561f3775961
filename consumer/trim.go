package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	trimInterval = 10 * time.Second
	trimTimeout  = 5 * time.Second
	// historyShare is how full the log may be, in per cent, before history makes room. The rest is for commands that have no
	// outcome yet. It bounds memory, too: the server keeps an index of the log there.
	historyShare = 25
)

// trim keeps the log from growing with what is done, until the context ends.
func (w *Worker) trim(ctx context.Context) {
	ticker := time.NewTicker(trimInterval)
	defer ticker.Stop()
	for {
		if err := w.Trim(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Log.Warn().Err(err).Msg("cannot trim the command log, trying again")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Trim drops the commands that are both done (at or below the ack floor: each has its outcome) and older than the
// history; when the log is a quarter full, all that are done. Run calls it every 10 s; any number of workers may.
func (w *Worker) Trim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if !w.js.Conn().IsConnected() {
		return errUnreachable
	}
	stream, err := w.js.Stream(ctx, domain.StreamCommands)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", domain.StreamCommands, err)
	}
	consumer, err := lookUp(ctx, w.js)
	if err != nil {
		return err
	}
	log := stream.CachedInfo()
	keep := consumer.CachedInfo().AckFloor.Stream + 1 // the first sequence to keep
	if log.State.Msgs == 0 || keep <= log.State.FirstSeq {
		return nil
	}
	if log.State.Bytes < uint64(log.Config.MaxBytes)/100*historyShare {
		young, err := w.firstSince(ctx, time.Now().Add(-w.cfg.History))
		if err != nil {
			return err
		}
		keep = min(keep, young)
	}
	if keep <= log.State.FirstSeq {
		return nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(keep)); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	w.metrics.trimmed.Add(float64(keep - log.State.FirstSeq))
	w.cfg.Log.Debug().Uint64("below", keep).Msg("trimmed the command log")
	return nil
}

// firstSince returns the sequence of the first command that came at that time or later, a huge one if there is none.
func (w *Worker) firstSince(ctx context.Context, t time.Time) (uint64, error) {
	const none = 1<<64 - 1
	msgs, err := jetstreamext.GetBatch(ctx, w.js, domain.StreamCommands, 1, jetstreamext.GetBatchStartTime(t))
	if err != nil {
		return 0, fmt.Errorf("find the oldest command of the history: %w", err)
	}
	for msg, err := range msgs {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return none, nil
		}
		if err != nil {
			return 0, fmt.Errorf("find the oldest command of the history: %w", err)
		}
		return msg.Sequence, nil
	}
	return 0, errors.New("find the oldest command of the history: no answer in time")
}
