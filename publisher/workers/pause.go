package workers

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// The bounds of Pause. A pause always has an end: commands wait, and nobody may remember it.
const (
	MinPause  = time.Second
	MaxPause  = 24 * time.Hour
	MaxReason = 200 // characters
)

// Trail records actions, see audit.Recorder.
type Trail interface {
	Act(ctx context.Context, record domain.AuditRecord, do func(end *domain.AuditRecord) error) error
}

// timeout bounds a change, with its confirmation by the server of the consumer.
const timeout = 10 * time.Second

// Pause pauses all workers of the installation for a time from now, or changes the end of a pause. The reason may be "". It is recorded on
// the audit trail, so it must not contain personal data. Pause returns the end of the pause once no further command is delivered;
// commands that workers have are finished. An error is an *audit.NotRecordedError if nothing was changed because of it, and has domain.CodeInvalid
// for a length or a reason outside the bounds.
func Pause(ctx context.Context, js jetstream.JetStream, trail Trail, length time.Duration, reason string) (until time.Time, err error) {
	switch {
	case length < MinPause || length > MaxPause:
		return until, domain.Errorf(domain.CodeInvalid, "a pause must be from %s to %s long", MinPause, MaxPause)
	case utf8.RuneCountInString(reason) > MaxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unprintable):
		return until, domain.Errorf(domain.CodeInvalid, "the reason must have at most %d printable characters", MaxReason)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := look(ctx, js)
	if err != nil {
		return until, err
	}
	until = info.TimeStamp.Add(length).UTC().Truncate(time.Millisecond) // the clock of the server decides
	record := domain.AuditRecord{Action: domain.AuditPause, Target: target(until, reason)}
	return until, trail.Act(ctx, record, func(*domain.AuditRecord) error {
		if _, err := js.PauseConsumer(ctx, domain.StreamCommands, domain.ConsumerWorker, until); err != nil {
			return wrap("pause", err)
		}
		return confirm(ctx, js, until)
	})
}

// Resume ends a pause. It returns the pause that it has ended, or nil if the workers were not paused: then it does and records nothing.
func Resume(ctx context.Context, js jetstream.JetStream, trail Trail) (*Paused, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := look(ctx, js)
	if err != nil {
		return nil, err
	}
	paused := PausedOf(ctx, js, info)
	if paused == nil {
		return nil, nil //nolint:nilnil // as documented
	}
	return paused, trail.Act(ctx, domain.AuditRecord{Action: domain.AuditResume}, func(*domain.AuditRecord) error {
		if _, err := js.ResumeConsumer(ctx, domain.StreamCommands, domain.ConsumerWorker); err != nil {
			return wrap("resume", err)
		}
		return confirm(ctx, js, time.Time{})
	})
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// confirm waits until the server of the consumer has this end of a pause. The servers of a cluster answer before they apply it.
func confirm(ctx context.Context, js jetstream.JetStream, until time.Time) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		info, err := look(ctx, js)
		if err == nil && end(info).Equal(until) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the change is not confirmed: look at clientele status, and try again: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
