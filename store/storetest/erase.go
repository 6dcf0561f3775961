package storetest

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

// erase erases a client and reports whether it existed.
func erase(t testingT, st store.Store, id uuid.UUID) bool {
	t.Helper()
	existed, err := st.Erase(t.Context(), id, domain.NewErasure(id, time.Now(), "a reason", "an operator"))
	if err != nil {
		t.Fatalf("Erase returned %v", err)
	}
	return existed
}

func (s suite) erased(t *testing.T) {
	gone, stays := newClient(), newClient()
	create(t, s.st, gone, stays)
	for _, want := range []bool{true, false} {
		if existed := erase(t, s.st, gone.ID); existed != want {
			t.Errorf("Erase reports that the client existed: %v, want %v", existed, want)
		}
		wantNotFound(t, s.st, gone.ID)
	}
	wantStored(t, s.st, stays)
}

// erasedForGood erases one client that exists and one that does not yet.
func (s suite) erasedForGood(t *testing.T) {
	st := s.migrated(t)
	clients := Clients(5)
	gone, early := clients[1], clients[3]
	create(t, st, clients[0], gone)
	erase(t, st, gone.ID)
	erase(t, st, early.ID)
	first, err := st.Marks(t.Context())
	if err != nil || len(first.Erasures) != 2 {
		t.Fatalf("Marks returned %+v and %v, want 2 tombstones", first, err)
	}
	if _, err := st.Erase(t.Context(), gone.ID, domain.NewErasure(gone.ID, time.Now().Add(time.Hour), "another", "")); err != nil {
		t.Fatal(err)
	}
	want := []domain.CreateOutcome{domain.Replayed, domain.Erased, domain.Created, domain.Erased, domain.Created, domain.Erased}
	for i, r := range create(t, st, append(clients, other(gone))...) {
		if r.Outcome != want[i] {
			t.Errorf("outcome %d of client %d, want %d", r.Outcome, i, want[i])
		}
	}
	wantNotFound(t, st, gone.ID)
	wantNotFound(t, st, early.ID)
	again, err := st.Marks(t.Context())
	if err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("the tombstones are %+v (%v), want the first ones: %+v", again, err, first)
	}
}

// erasedMeanwhile erases clients while two programs create them.
func (s suite) erasedMeanwhile(t *testing.T) {
	stores := []store.Store{s.st, open(t, s.db)}
	for range 20 {
		clients := Clients(20)
		var writers sync.WaitGroup
		for _, st := range stores {
			writers.Go(func() {
				for range 2 {
					if _, err := st.Create(t.Context(), clients); err != nil && domain.CodeOf(err) != "" {
						t.Errorf("Create returned %v", err)
					}
				}
			})
		}
		erase(t, s.st, clients[0].ID)
		writers.Wait()
		wantNotFound(t, s.st, clients[0].ID)
		wantStored(t, s.st, clients[1])
	}
}
