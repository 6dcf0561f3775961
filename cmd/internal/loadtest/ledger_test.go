package loadtest //nolint:testpackage // the counts of a ledger are not public

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// The ledger counts acceptances and events in any order.
func TestBenchLedger(t *testing.T) {
	l := NewLedger()
	accept := func(id uuid.UUID) { l.Accepted(id, time.Now()) }
	first, early, lost, twice := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	accept(first)
	l.Event(first.String())
	l.Event(early.String())
	accept(early)
	accept(lost)
	accept(twice)
	l.Event(twice.String())
	l.Event(twice.String())
	l.Event(uuid.NewString()) // another caller's client
	l.Event("garbage")
	if lost, duplicated := l.audit(); lost != 1 || duplicated != 1 {
		t.Errorf("%d lost, %d duplicated, want 1 each", lost, duplicated)
	}
	if n := l.outstanding.Load(); n != 1 {
		t.Errorf("%d outstanding, want 1", n)
	}
	if n := l.completed.Load(); n != 3 || l.delay.TotalCount() != 3 {
		t.Errorf("%d completed, %d measured, want 3", n, l.delay.TotalCount())
	}
}
