//go:build faults

package faulttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
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
	last     atomic.Uint64 // the sequence up to which it has read, for others
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
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		msgs, err := jetstreamext.GetBatch(ctx, j.js, domain.StreamCommands, page, jetstreamext.GetBatchSeq(j.next))
		read := 0
		if err == nil {
			for msg, err := range msgs {
				if err != nil {
					break
				}
				j.commands[msg.Sequence] = entry{msg.Subject, msg.Time}
				j.next = msg.Sequence + 1
				j.last.Store(msg.Sequence)
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

// TestJournal checks that the journal finds commands in the wrong order, and changes of the log.
func TestJournal(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	a, b := uuid.UUID{1}, uuid.UUID{2}
	logged := func(id uuid.UUID, second int) entry { return entry{domain.SubjectCreate + id.String(), at(second)} }
	for name, c := range map[string]struct {
		spans map[uuid.UUID]*span
		log   map[uint64]entry
		last  uint64
		found int
		want  string
	}{
		"in order": {
			map[uuid.UUID]*span{a: {at(1), at(3)}, b: {at(4), at(6)}},
			map[uint64]entry{1: logged(a, 2), 2: logged(b, 5)},
			2, 2, "",
		},
		"at the same time": {
			map[uuid.UUID]*span{a: {at(1), at(5)}, b: {at(2), at(6)}},
			map[uint64]entry{1: logged(b, 4), 2: logged(a, 4)},
			2, 2, "",
		},
		"out of order": {
			map[uuid.UUID]*span{a: {at(1), at(3)}, b: {at(4), at(6)}},
			map[uint64]entry{1: logged(b, 5), 2: logged(a, 2)},
			2, 2, "was sent after",
		},
		"put on the log again": {
			map[uuid.UUID]*span{a: {at(1), at(3)}, b: {at(4), at(6)}},
			map[uint64]entry{1: logged(b, 5), 2: logged(a, 7)},
			2, 1, "",
		},
		"the end is lost": {
			map[uuid.UUID]*span{a: {at(1), at(3)}},
			map[uint64]entry{1: logged(a, 2)},
			0, 1, "ends at 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{commands: c.log, next: uint64(len(c.log)) + 1}
			var violations []string
			found := j.check(&history{spans: c.spans}, &outcome{last: c.last}, func(format string, args ...any) {
				violations = append(violations, fmt.Sprintf(format, args...))
			})
			if all := strings.Join(violations, "\n"); found != c.found || (all == "") != (c.want == "") || !strings.Contains(all, c.want) {
				t.Errorf("found %d and %q, want %d and %q", found, all, c.found, c.want)
			}
		})
	}
}
