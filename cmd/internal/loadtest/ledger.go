package loadtest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"
)

// idleTimeout is how long the ledger waits for the next outstanding event.
const idleTimeout = 15 * time.Second

// Ledger matches each accepted client with its events.
type Ledger struct {
	began       time.Time
	completed   atomic.Int64
	outstanding atomic.Int64 // accepted clients without an event so far

	mu      sync.Mutex
	entries map[uuid.UUID]entry
	delay   *hdrhistogram.Histogram // from the acceptance to the event
	last    time.Time               // the last acceptance or event
}

// entry has the acceptance and the events of an id. It is small, because there may be millions. An event may arrive before the
// response, because it uses another connection.
type entry struct {
	acceptedAt, eventAt time.Duration // since the start of the ledger; 0 if not yet
	events              int32
}

func (e entry) isAccepted() bool  { return e.acceptedAt > 0 }
func (e entry) isCompleted() bool { return e.isAccepted() && e.events > 0 }

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{began: time.Now(), entries: map[uuid.UUID]entry{}, delay: newHistogram()}
}

// Accepted records that a client was accepted.
func (l *Ledger) Accepted(id uuid.UUID, at time.Time) {
	l.update(id, func(e *entry) {
		if !e.isAccepted() { // otherwise the client is repeated
			e.acceptedAt = at.Sub(l.began)
		}
	})
}

// Event records an event with this CloudEvents subject, which is the id of a client. It ignores subjects that are not ids.
func (l *Ledger) Event(subject string) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return
	}
	at := time.Since(l.began)
	l.update(id, func(e *entry) {
		e.events++
		if e.events == 1 {
			e.eventAt = at
		}
	})
}

// Len returns the number of ids that the ledger has seen.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *Ledger) update(id uuid.UUID, change func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.entries[id]
	e := before
	change(&e)
	l.entries[id] = e
	l.last = time.Now()
	switch {
	case e.isCompleted() && !before.isCompleted():
		l.completed.Add(1)
		_ = l.delay.RecordValue(max(0, (e.eventAt - e.acceptedAt).Microseconds())) // fails only above an hour
		if before.isAccepted() {
			l.outstanding.Add(-1)
		}
	case e.isAccepted() && !before.isAccepted():
		l.outstanding.Add(1)
	}
}

// wait waits until every accepted client has its event, or until no event arrives for idleTimeout.
func (l *Ledger) wait(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for l.outstanding.Load() > 0 {
		l.mu.Lock()
		quiet := time.Since(l.last) > idleTimeout
		l.mu.Unlock()
		if quiet {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// audit returns the number of accepted clients without an event, and with more than one.
func (l *Ledger) audit() (lost, duplicated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		switch {
		case !e.isAccepted(): // another caller's client
		case e.events == 0:
			lost++
		case e.events > 1:
			duplicated++
		}
	}
	return lost, duplicated
}
