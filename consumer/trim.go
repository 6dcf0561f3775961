package consumer

import (
	"context"
	"fmt"
	"math"
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
	// historyTarget is the share to which the log is then reduced. Without the gap, every trim under load would find the log full.
	historyTarget = 20
	// trimStep is the most sequences that one purge removes. The server stores no command during a purge.
	trimStep = 20_000
)

// trimmer removes finished commands from the log.
type trimmer struct {
	js      jetstream.JetStream
	history time.Duration
	step    uint64 // trimStep
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
	stream, keep, err := t.plan(ctx)
	if err != nil {
		return err
	}
	for first := stream.CachedInfo().State.FirstSeq; first < keep; {
		below := min(first+t.step, keep)
		if err := purge(ctx, stream, below); err != nil {
			return err
		}
		t.trimmed.Add(float64(below - first))
		t.log.Debug().Uint64("below", below).Msg("trimmed the command log")
		first = below
	}
	return nil
}

// plan returns the log and the first sequence to keep.
func (t trimmer) plan(ctx context.Context) (stream jetstream.Stream, keep uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if !t.js.Conn().IsConnected() {
		return nil, 0, errUnreachable
	}
	if stream, err = t.js.Stream(ctx, domain.StreamCommands); err != nil {
		return nil, 0, fmt.Errorf("look up stream %s: %w", domain.StreamCommands, err)
	}
	consumer, err := lookUp(ctx, t.js)
	if err != nil {
		return nil, 0, err
	}
	log := stream.CachedInfo()
	finished := consumer.CachedInfo().AckFloor.Stream + 1
	if log.State.Msgs == 0 || finished <= log.State.FirstSeq {
		return stream, 0, nil
	}
	young, err := direct.FirstSince(ctx, t.js, log, time.Now().Add(-t.history))
	return stream, min(finished, max(young, firstWithin(log))), err
}

// firstWithin returns the first sequence to keep so that the log has its target size, or 0 if it is below its share. It assumes that
// all commands have the same size.
func firstWithin(log *jetstream.StreamInfo) uint64 {
	percent := float64(uint64(log.Config.MaxBytes)) / 100 // huge without a limit, which is -1
	bytes := float64(log.State.Bytes)
	if bytes < percent*historyShare {
		return 0
	}
	sequences := float64(log.State.LastSeq - log.State.FirstSeq + 1)
	return log.State.FirstSeq + uint64(math.Ceil(sequences*(1-percent*historyTarget/bytes)))
}

func purge(ctx context.Context, stream jetstream.Stream, below uint64) error {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}
