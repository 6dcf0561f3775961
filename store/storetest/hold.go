package storetest

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

// heldFor returns a hold up to a day that is this many days away.
func heldFor(id uuid.UUID, days int) domain.Hold {
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days)
	return domain.NewHold(id, day, time.Now(), "a reason", "an operator")
}

// held refuses an erasure of a held client, and allows it after the hold was released or has expired.
func (s suite) held(t *testing.T) {
	kept, gone := newClient(), newClient()
	create(t, s.st, kept, gone)
	first, second := heldFor(kept.ID, 1), heldFor(kept.ID, 0)
	for _, hold := range []domain.Hold{first, second, heldFor(gone.ID, -1)} {
		if err := s.st.Hold(t.Context(), hold); err != nil {
			t.Fatal(err)
		}
	}
	existed, err := s.st.Erase(t.Context(), kept.ID, domain.NewErasure(kept.ID, time.Now(), "", ""))
	if refused, ok := errors.AsType[*store.HeldError](err); !ok || existed || refused.Hold != second {
		t.Errorf("Erase returned %v, %v, want the hold %+v", existed, err, second)
	}
	wantStored(t, s.st, kept)
	want := store.Marks{Holds: []domain.Hold{second}}
	if marks, err := s.st.Marks(t.Context(), kept.ID, uuid.New()); err != nil || len(marks.Erasures) != 0 || !reflect.DeepEqual(marks.Holds, want.Holds) {
		t.Errorf("Marks returned %+v, %v, want %+v", marks, err, want)
	}
	if !erase(t, s.st, gone.ID) {
		t.Error("an expired hold refuses the erasure")
	}
	for _, want := range []bool{true, false} {
		if held, err := s.st.Release(t.Context(), kept.ID); err != nil || held != want {
			t.Errorf("Release returned %v, %v, want %v", held, err, want)
		}
	}
	if !erase(t, s.st, kept.ID) {
		t.Error("a released client was not erased")
	}
	if err := s.st.Hold(t.Context(), first); domain.CodeOf(err) != domain.CodeErased {
		t.Errorf("Hold of an erased client returned %v", err)
	}
}

// heldMeanwhile holds clients while another program erases them: one of the two must fail.
func (s suite) heldMeanwhile(t *testing.T) {
	other := open(t, s.db)
	for range 20 {
		c := newClient()
		create(t, s.st, c)
		var holdErr, eraseErr error
		var both sync.WaitGroup
		both.Go(func() { holdErr = s.st.Hold(t.Context(), heldFor(c.ID, 1)) })
		both.Go(func() { _, eraseErr = other.Erase(t.Context(), c.ID, domain.NewErasure(c.ID, time.Now(), "", "")) })
		both.Wait()
		_, refused := errors.AsType[*store.HeldError](eraseErr)
		held, erased := holdErr == nil && refused, eraseErr == nil && domain.CodeOf(holdErr) == domain.CodeErased
		if !held && !erased {
			t.Fatalf("Hold returned %v, Erase %v", holdErr, eraseErr)
		}
	}
}
