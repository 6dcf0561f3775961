package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

// overlap has several writers in two programs. Each creates all clients, in a different order.
func (s suite) overlap(t *testing.T) {
	const rounds, writers, size = 3, 6, 100
	stores := []store.Store{s.st, open(t, s.db)}
	for range rounds {
		clients := Clients(size)
		created := make([][]domain.CreateResult, writers)
		var all sync.WaitGroup
		for w := range writers {
			batch := slices.Clone(clients)
			if w%2 == 1 {
				slices.Reverse(batch)
			}
			all.Go(func() {
				created[w] = repeat(t, stores[w%len(stores)], batch)
			})
		}
		all.Wait()
		count := make(map[uuid.UUID]int)
		for _, r := range slices.Concat(created...) {
			switch r.Outcome {
			case domain.Created:
				count[r.Client.ID]++
			case domain.Replayed:
			default:
				t.Fatalf("outcome %d, want Created or Replayed", r.Outcome)
			}
		}
		for _, c := range clients {
			if count[c.ID] != 1 {
				t.Fatalf("client %s was created %d times", c.ID, count[c.ID])
			}
		}
	}
}

// cancelled cancels calls at different times.
func (s suite) cancelled(t *testing.T) {
	const rounds, step = 30, 100 * time.Microsecond
	for round := range rounds {
		clients := Clients(50)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round)*step)
		results, err := s.st.Create(ctx, clients)
		cancel()
		switch {
		case err == nil && len(results) != len(clients):
			t.Fatalf("%d results for %d clients", len(results), len(clients))
		case err != nil && domain.CodeOf(err) != "":
			t.Fatalf("Create returned code %s: %v", domain.CodeOf(err), err)
		}
		again := repeat(t, s.st, clients)
		for i, r := range again {
			if r.Outcome != again[0].Outcome || err == nil && r.Outcome != domain.Replayed {
				t.Fatalf("after %v: outcome %d of client %d, but %d of client 0", err, r.Outcome, i, again[0].Outcome)
			}
			wantResult(t, r, r.Outcome, clients[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.st.Create(ctx, Clients(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Create returned %v, want %v", err, context.Canceled)
	}
	if _, err := s.st.Get(ctx, uuid.New()); !errors.Is(err, context.Canceled) {
		t.Errorf("Get returned %v, want %v", err, context.Canceled)
	}
	if err := s.st.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready returned %v, want %v", err, context.Canceled)
	}
}

// repeat creates clients, and repeats the call like a worker if it fails: SQLite waits five seconds for the lock of another call.
func repeat(t *testing.T, st store.Store, clients []domain.Client) (results []domain.CreateResult) {
	t.Helper()
	var err error
	for range 10 {
		if results, err = st.Create(t.Context(), clients); err == nil {
			return results
		}
	}
	t.Errorf("Create returned %v", err)
	return nil
}
