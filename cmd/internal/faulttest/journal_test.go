//go:build faults

package faulttest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// journal reads the command log during a run, because workers trim it. It records the sequence of each command.
type journal struct {
	js     jetstream.JetStream
	cancel context.CancelFunc
	done   chan struct{}

	commands map[uint64]entry // by sequence, everything that was on the log
	next     uint64
}

// entry is a message of the log.
type entry struct {
	subject string
	at      time.Time
}

// id returns the id of the command, or false if the entry is not one.
func (e entry) id() (uuid.UUID, bool) {
	id, err := uuid.Parse(strings.TrimPrefix(e.subject, domain.SubjectCreate))
	return id, err == nil
}

// newJournal starts to read.
func newJournal(js jetstream.JetStream) *journal {
	ctx, cancel := context.WithCancel(context.Background())
	j := &journal{js: js, cancel: cancel, done: make(chan struct{}), commands: map[uint64]entry{}, next: 1}
	go func() {
		defer close(j.done)
		poll := time.NewTicker(200 * time.Millisecond)
		defer poll.Stop()
		for ctx.Err() == nil {
			j.read(ctx)
			select {
			case <-ctx.Done():
			case <-poll.C:
			}
		}
	}()
	return j
}

// stop ends the reading and returns when it has ended.
func (j *journal) stop() {
	j.cancel()
	<-j.done
}

// read reads what is new on the log. Errors end with the fault that causes them.
func (j *journal) read(ctx context.Context) {
	const page = 1000
	for {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		msgs, err := jetstreamext.GetBatch(ctx, j.js, domain.StreamCommands, page, jetstreamext.GetBatchSeq(j.next))
		read := 0
		if err == nil {
			for msg, err := range msgs {
				if err != nil {
					break
				}
				j.commands[msg.Sequence] = entry{msg.Subject, msg.Time}
				j.next = msg.Sequence + 1
				read++
			}
		}
		cancel()
		if read < page {
			return
		}
	}
}

// check checks that the log has every accepted command, or had it until it was trimmed, in an order that the callers can have seen: a
// command that was accepted before another was sent precedes it. It returns the number of those that it found. The journal is stopped.
func (j *journal) check(h *history, o *outcome, violation violationFunc) (found int) {
	if o.last+1 < j.next {
		violation("9: the log had %d, and ends at %d", j.next-1, o.last)
	}
	for _, msg := range o.commands {
		if was, ok := j.commands[msg.Sequence]; ok && was.subject != msg.Subject {
			violation("9: the log had %s at %d, and has %s", was.subject, msg.Sequence, msg.Subject)
		}
		j.commands[msg.Sequence] = entry{msg.Subject, msg.Time}
	}
	var later time.Time // the earliest time at which a command with a higher sequence was accepted
	var which uuid.UUID
	for _, sequence := range slices.Backward(slices.Sorted(maps.Keys(j.commands))) {
		e := j.commands[sequence]
		id, ok := e.id()
		span := h.spans[id]
		if !ok || span == nil {
			continue
		}
		if !later.IsZero() && later.Before(span.sent) {
			violation("9: %s, at %d, was sent after %s was accepted, which has a higher sequence", id, sequence, which)
		}
		// A command that was put on the log again after it was accepted, because it had been trimmed, has no single place.
		if span.accepted.IsZero() || e.at.After(span.accepted) {
			continue
		}
		found++
		if later.IsZero() || span.accepted.Before(later) {
			later, which = span.accepted, id
		}
	}
	return found
}
