package main

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

// ledger holds each client that was accepted against its events, one by one.
type ledger struct {
	completed atomic.Int64

	mu      sync.Mutex
	entries map[uuid.UUID]entry
	delay   *hdrhistogram.Histogram // from the acceptance to the event
	last    time.Time               // an event came, or an acceptance
}

// entry is what is known of an id. Events come on another connection than answers, and may be first.
type entry struct {
	acceptedAt, eventAt time.Time
	events              int
}

func newLedger() *ledger { return &ledger{entries: map[uuid.UUID]entry{}, delay: newHistogram()} }

func (l *ledger) accepted(id uuid.UUID, at time.Time) {
	l.update(id, func(e *entry) { e.acceptedAt = at })
}

func (l *ledger) event(subject string) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return // not one of ours
	}
	now := time.Now()
	l.update(id, func(e *entry) {
		e.events++
		if e.events == 1 {
			e.eventAt = now
		}
	})
}

func (l *ledger) update(id uuid.UUID, change func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[id]
	open := e.acceptedAt.IsZero() || e.events == 0
	change(&e)
	l.entries[id] = e
	l.last = time.Now()
	if open && !e.acceptedAt.IsZero() && e.events > 0 {
		l.completed.Add(1)
		_ = l.delay.RecordValue(max(0, e.eventAt.Sub(e.acceptedAt).Microseconds())) // as for the latency
	}
}

// settle waits until everything accepted has its event, as long as events still come.
func (l *ledger) settle(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for lost, _ := l.audit(); lost > 0; lost, _ = l.audit() {
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
func (l *ledger) audit() (lost, duplicated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		switch {
		case e.acceptedAt.IsZero(): // somebody else's
		case e.events == 0:
			lost++
		case e.events > 1:
			duplicated++
		}
	}
	return lost, duplicated
}
