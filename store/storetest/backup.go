package storetest

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

// migrated returns a store on a new database with the schema.
func (s suite) migrated(t *testing.T) store.Store {
	t.Helper()
	st := open(t, s.fresh(t))
	migrate(t, st)
	return st
}

func export(t *testing.T, st store.Store) (clients []domain.Client) {
	t.Helper()
	err := st.Export(t.Context(), func(c domain.Client) error {
		clients = append(clients, c)
		return nil
	})
	if err != nil {
		t.Fatalf("Export returned %v", err)
	}
	return clients
}

func all(clients []domain.Client) iter.Seq2[domain.Client, error] {
	return func(yield func(domain.Client, error) bool) {
		for _, c := range clients {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// exportLoad copies more clients than one statement inserts, with extreme values.
func (s suite) exportLoad(t *testing.T) {
	from, to := s.migrated(t), s.migrated(t)
	clients := Clients(2100)
	clients[0].Details = fullDetails()
	clients[1].ID = uuid.Nil
	clients[2].ID = uuid.Max
	clients[3].CommunicationPreferences, clients[3].Address = &domain.CommunicationPreferences{}, nil
	clients[4].Status = domain.StatusClosed
	clients[5].AcceptedAt = time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	create(t, from, clients...)
	if none := export(t, to); len(none) != 0 {
		t.Errorf("an empty database exports %d clients", len(none))
	}
	exported := export(t, from)
	if n, err := to.Load(t.Context(), all(exported)); err != nil || n != len(clients) {
		t.Fatalf("Load returned %d, %v, want %d", n, err, len(clients))
	}
	loaded := export(t, to)
	if len(loaded) != len(clients) {
		t.Fatalf("%d clients, want %d", len(loaded), len(clients))
	}
	want := make(map[uuid.UUID]domain.Client, len(clients))
	for _, c := range clients {
		want[c.ID] = c
	}
	for i, c := range loaded {
		wantClient(t, c, want[c.ID])
		if i > 0 && bytes.Compare(loaded[i-1].ID[:], c.ID[:]) >= 0 {
			t.Fatalf("%s comes after %s", c.ID, loaded[i-1].ID)
		}
	}
	wantResult(t, create(t, to, clients[0])[0], domain.Replayed, clients[0])
}

// exportSnapshot adds a client during an export.
func (s suite) exportSnapshot(t *testing.T) {
	st := s.migrated(t)
	clients := Clients(1000)
	create(t, st, clients...)
	seen := map[uuid.UUID]bool{}
	err := st.Export(t.Context(), func(c domain.Client) error {
		if len(seen) == 0 {
			late := newClient()
			late.ID = uuid.Max // it would be the last
			create(t, st, late)
		}
		seen[c.ID] = true
		return nil
	})
	if err != nil || len(seen) != len(clients) || seen[uuid.Max] {
		t.Errorf("Export returned %v after %d clients, want the %d of the beginning", err, len(seen), len(clients))
	}
	stopped := errors.New("stopped")
	if err := st.Export(t.Context(), func(domain.Client) error { return stopped }); !errors.Is(err, stopped) {
		t.Errorf("Export returned %v, want the error of yield", err)
	}
}

func (s suite) loadRefused(t *testing.T) {
	st := s.migrated(t)
	clients := Clients(1500)
	broken := errors.New("broken")
	for name, source := range map[string]iter.Seq2[domain.Client, error]{
		"a source that fails": func(yield func(domain.Client, error) bool) {
			for _, c := range clients {
				if !yield(c, nil) {
					return
				}
			}
			yield(domain.Client{}, broken)
		},
		"an id twice": all(append(slices.Clip(clients), clients[0])),
	} {
		if n, err := st.Load(t.Context(), source); err == nil || n != 0 {
			t.Errorf("%s: Load returned %d, %v", name, n, err)
		}
		if left := export(t, st); len(left) != 0 {
			t.Fatalf("%s: %d clients are stored", name, len(left))
		}
	}
	create(t, st, clients[0])
	if n, err := st.Load(t.Context(), all(clients[1:])); !errors.Is(err, store.ErrNotEmpty) || n != 0 {
		t.Errorf("Load returned %d, %v, want %v", n, err, store.ErrNotEmpty)
	}
	if left := export(t, st); len(left) != 1 {
		t.Errorf("%d clients, want the one that was there", len(left))
	}
}
