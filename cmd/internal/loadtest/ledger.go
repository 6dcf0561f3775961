package loadtest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"
)

// patience is how long the ledger waits for the next event that is outstanding.
const patience = 15 * time.Second

// Ledger matches each accepted client with its events.
type Ledger struct {
	began       time.Time
	completed   atomic.Int64
	outstanding atomic.Int64 // accepted, and without an event so far

	mu      sync.Mutex
	entries map[uuid.UUID]entry
	delay   *hdrhistogram.Histogram // from the acceptance to the event
	last    time.Time               // an event came, or an acceptance
}

// entry is what is known of an id, small as there may be millions. Events come on another connection than answers, and may
// be first.
type entry struct {
	acceptedAt, eventAt time.Duration // since the ledger began; 0 if it has not happened
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
	l.update(id, func(e *entry) { e.acceptedAt = at.Sub(l.began) })
}

// Event records an event about the client with this id. Other subjects are ignored.
func (l *Ledger) Event(subject string) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return // not one of ours
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
		_ = l.delay.RecordValue(max(0, (e.eventAt - e.acceptedAt).Microseconds())) // as for the latency
		if before.isAccepted() {
			l.outstanding.Add(-1)
		}
	case e.isAccepted() && !before.isAccepted():
		l.outstanding.Add(1)
	}
}

// settle waits until everything accepted has its event, as long as events still come.
func (l *Ledger) settle(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for l.outstanding.Load() > 0 {
		l.mu.Lock()
		quiet := time.Since(l.last) > patience
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

// audit counts the accepted clients without an event, and those with more than one.
func (l *Ledger) audit() (lost, duplicated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		switch {
		case !e.isAccepted(): // somebody else's
		case e.events == 0:
			lost++
		case e.events > 1:
			duplicated++
		}
	}
	return lost, duplicated
}
