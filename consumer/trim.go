package consumer

import (
	"context"
	"fmt"
	"time"

	"clientele/consumer/direct"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const (
	trimInterval = 10 * time.Second
	trimTimeout  = 5 * time.Second
	// historyShare is the share of the log, in per cent, above which finished commands are removed before the history ends. The
	// rest is for commands without an outcome. It also bounds memory, because the server keeps an index of the log in memory.
	historyShare = 25
)

// trimmer removes finished commands from the log.
type trimmer struct {
	js      jetstream.JetStream
	history time.Duration
	log     zerolog.Logger
	trimmed prometheus.Counter
}

// run trims every 10 s until the context ends.
func (t trimmer) run(ctx context.Context) {
	ticker := time.NewTicker(trimInterval)
	defer ticker.Stop()
	for {
		if err := t.trim(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn().Err(err).Msg("cannot trim the command log; trying again")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// trim is Worker.Trim.
func (t trimmer) trim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if !t.js.Conn().IsConnected() {
		return errUnreachable
	}
	stream, err := t.js.Stream(ctx, domain.StreamCommands)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", domain.StreamCommands, err)
	}
	consumer, err := lookUp(ctx, t.js)
	if err != nil {
		return err
	}
	log := stream.CachedInfo()
	keep := consumer.CachedInfo().AckFloor.Stream + 1 // the first sequence to keep
	if log.State.Msgs == 0 || keep <= log.State.FirstSeq {
		return nil
	}
	if log.State.Bytes < uint64(log.Config.MaxBytes)/100*historyShare {
		young, err := direct.FirstSince(ctx, t.js, domain.StreamCommands, time.Now().Add(-t.history))
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
	t.trimmed.Add(float64(keep - log.State.FirstSeq))
	t.log.Debug().Uint64("below", keep).Msg("trimmed the command log")
	return nil
}
