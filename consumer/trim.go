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
	trimInterval = 2 * time.Second
	trimTimeout  = 5 * time.Second
	// historyShare is the share of the log, in per cent, above which finished commands are removed before the history ends. The
	// rest is for commands without an outcome.
	historyShare = 25
	// historyCommands is the number of commands above which finished ones are removed before the history ends. The server stores no
	// command during a purge, which ends with an index of all subjects: about 0.2 µs for each command left, see RESULTS.md.
	historyCommands = 50_000
	// historyTarget is what is left then, in per cent of the limit exceeded. Without the gap, every trim under load would purge.
	historyTarget = 80
	// trimStep is the most commands that one purge removes from a log of up to historyCommands, and trimBytes their most bytes: the server
	// reads the subjects of what it removes.
	trimStep  = 10_000
	trimBytes = 8 << 20
	// purgeShare is the least share of a larger log that one purge removes, so that a long backlog is not indexed for each step.
	purgeShare = 32
)

// trimmer removes finished commands from the log.
type trimmer struct {
	js      jetstream.JetStream
	history time.Duration
	full    func() bool // Config.Full
	most    uint64      // historyCommands
	step    uint64      // trimStep
	log     zerolog.Logger
	trimmed prometheus.Counter
}

// run trims every 2 s until the context ends.
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
	log := stream.CachedInfo().State
	step, least := t.steps(log)
	for first := log.FirstSeq; first+least <= keep; {
		below := min(first+step, keep)
		began := time.Now()
		if err := purge(ctx, stream, below); err != nil {
			return err
		}
		pause(ctx, time.Since(began)) // publishes that waited for it are stored before the next
		t.trimmed.Add(float64(below - first))
		t.log.Debug().Uint64("below", below).Msg("trimmed the command log")
		first = below
	}
	return nil
}

// steps returns how many sequences one purge removes, and from how many on a purge is worth its cost.
func (t trimmer) steps(log jetstream.StreamState) (step, least uint64) {
	step = max(1, min(t.step, trimBytes*log.Msgs/max(1, log.Bytes)))
	if log.Msgs <= t.most || t.diskFull() {
		return step, 1
	}
	least = max(1, log.Msgs/purgeShare)
	return max(step, least), least
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
	if t.diskFull() {
		return stream, finished, nil
	}
	young, err := direct.FirstSince(ctx, t.js, log, time.Now().Add(-t.history))
	return stream, min(finished, max(young, t.firstWithin(log))), err
}

// diskFull reports whether all of the history must go.
func (t trimmer) diskFull() bool { return t.full != nil && t.full() }

// firstWithin returns the first sequence to keep so that the history is within its limits, or 0 if it is. It assumes that all commands
// have the same size.
func (t trimmer) firstWithin(log *jetstream.StreamInfo) uint64 {
	bytes := float64(uint64(log.Config.MaxBytes)) / 100 * historyShare // huge without a limit, which is -1
	used := max(float64(log.State.Bytes)/bytes, float64(log.State.Msgs)/float64(t.most))
	if used <= 1 {
		return 0
	}
	sequences := float64(log.State.LastSeq - log.State.FirstSeq + 1)
	return log.State.FirstSeq + uint64(math.Ceil(sequences*(1-historyTarget/100./used)))
}

func purge(ctx context.Context, stream jetstream.Stream, below uint64) error {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
