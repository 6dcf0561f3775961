package storetest

import (
	"bytes"
	"errors"
	"iter"
	"reflect"
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

func export(t *testing.T, st store.Store) (clients []domain.Client, marks store.Marks) {
	t.Helper()
	marks, err := st.Export(t.Context(), func(c domain.Client) error {
		clients = append(clients, c)
		return nil
	})
	if err != nil {
		t.Fatalf("Export returned %v", err)
	}
	return clients, marks
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
	gone := newClient()
	create(t, from, gone)
	erase(t, from, gone.ID)
	hold := domain.NewHold(clients[0].ID, time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC), time.Now(), "a reason", "an operator")
	if err := from.Hold(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	if none, marks := export(t, to); len(none)+len(marks.Erasures)+len(marks.Holds) != 0 {
		t.Errorf("an empty database exports %d clients and %+v", len(none), marks)
	}
	exported, marks := export(t, from)
	if len(marks.Holds) != 1 || marks.Holds[0] != hold {
		t.Fatalf("holds %+v, want %+v", marks.Holds, hold)
	}
	tombstones := marks.Erasures
	if want := domain.ErasureHash(gone.ID); len(tombstones) != 1 || tombstones[0].Hash != want ||
		tombstones[0].Reason == "" || tombstones[0].Operator == "" || tombstones[0].ErasedAt.IsZero() {
		t.Fatalf("tombstones %+v, want one with the hash %x", tombstones, want)
	}
	if n, err := to.Load(t.Context(), all(exported), marks); err != nil || n != len(clients) {
		t.Fatalf("Load returned %d, %v, want %d", n, err, len(clients))
	}
	loaded, same := export(t, to)
	if !reflect.DeepEqual(same, marks) {
		t.Errorf("the marks are %+v, want %+v", same, marks)
	}
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
	results := create(t, to, clients[0], gone)
	wantResult(t, results[0], domain.Replayed, clients[0])
	wantResult(t, results[1], domain.Erased, domain.Client{})
}

// exportSnapshot adds a client during an export.
func (s suite) exportSnapshot(t *testing.T) {
	st := s.migrated(t)
	clients := Clients(1000)
	create(t, st, clients...)
	seen := map[uuid.UUID]bool{}
	_, err := st.Export(t.Context(), func(c domain.Client) error {
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
	if _, err := st.Export(t.Context(), func(domain.Client) error { return stopped }); !errors.Is(err, stopped) {
		t.Errorf("Export returned %v, want the error of yield", err)
	}
}

func (s suite) loadRefused(t *testing.T) {
	st := s.migrated(t)
	clients := Clients(1500)
	broken := errors.New("broken")
	marks := store.Marks{
		Erasures: []domain.Erasure{domain.NewErasure(uuid.New(), time.Now(), "", "")},
		Holds:    []domain.Hold{domain.NewHold(uuid.New(), time.Now().UTC().Truncate(24*time.Hour), time.Now(), "", "")},
	}
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
		if n, err := st.Load(t.Context(), source, marks); err == nil || n != 0 {
			t.Errorf("%s: Load returned %d, %v", name, n, err)
		}
		if left, marks := export(t, st); len(left)+len(marks.Erasures)+len(marks.Holds) != 0 {
			t.Fatalf("%s: %d clients and %+v are stored", name, len(left), marks)
		}
	}
	for _, use := range []func(){
		func() {
			if err := st.Hold(t.Context(), marks.Holds[0]); err != nil {
				t.Fatal(err)
			}
		},
		func() { erase(t, st, clients[1].ID) },
		func() { create(t, st, clients[0]) },
	} {
		use()
		if n, err := st.Load(t.Context(), all(clients[2:]), store.Marks{}); !errors.Is(err, store.ErrNotEmpty) || n != 0 {
			t.Errorf("Load returned %d, %v, want %v", n, err, store.ErrNotEmpty)
		}
	}
	if left, marks := export(t, st); len(left) != 1 || len(marks.Erasures) != 1 || len(marks.Holds) != 1 {
		t.Errorf("%d clients and %+v, want those that were there", len(left), marks)
	}
}
