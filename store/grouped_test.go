package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clientele/domain"
	"clientele/store"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/google/uuid"
)

// gate is a Reader that counts its queries and lets each wait until it is opened.
type gate struct {
	store.Reader

	mu      sync.Mutex
	queries [][]uuid.UUID
	open    chan struct{}
	err     error
}

func (g *gate) GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	g.mu.Lock()
	g.queries = append(g.queries, ids)
	g.mu.Unlock()
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if g.err != nil {
		return nil, g.err
	}
	return g.Reader.GetAll(ctx, ids)
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queries)
}

// newGate returns a gate in front of a database with these clients.
func newGate(t *testing.T, clients []domain.Client) *gate {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "clients.db")})
	db = storetest.Migrated(t, db, err)
	if _, err := db.Create(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	return &gate{Reader: db, open: make(chan struct{})}
}

func TestConcurrentReadsShareQueries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clients := storetest.Clients(100)
		g := newGate(t, clients)
		grouped := store.NewGrouped(g)
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				found, err := grouped.GetAll(t.Context(), []uuid.UUID{c.ID, uuid.New()})
				if err != nil || len(found) != 1 || found[c.ID].ID != c.ID {
					t.Errorf("client %s: found %v, %v", c.ID, found, err)
				}
			})
			synctest.Wait()
		}
		if n := g.count(); n != 2 {
			t.Errorf("%d queries in progress, want 2", n)
		}
		close(g.open)
		wg.Wait()
		if n := g.count(); n != 3 {
			t.Errorf("%d queries for 100 calls, want 3", n)
		}
		if n := len(g.queries[2]); n != 2*98 {
			t.Errorf("the last query has %d ids, want %d", n, 2*98)
		}
	})
}

func TestAQueryTakesALimitedNumberOfIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, storetest.Clients(1))
		grouped := store.NewGrouped(g)
		var wg sync.WaitGroup
		for range 7 {
			wg.Go(func() {
				if _, err := grouped.GetAll(t.Context(), make([]uuid.UUID, 200)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(g.open)
		wg.Wait()
		if n := g.count(); n != 4 || len(g.queries[2])+len(g.queries[3]) != 5*200 {
			t.Errorf("%d queries, want two alone and two for the five that waited", n)
		}
	})
}

func TestACallThatGivesUpStopsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clients := storetest.Clients(1)
		g := newGate(t, clients)
		grouped := store.NewGrouped(g)
		call := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := grouped.GetAll(ctx, []uuid.UUID{clients[0].ID})
			return err
		}
		var wg sync.WaitGroup
		for range 2 { // they occupy the queries
			wg.Go(func() {
				if err := call(time.Second); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a call of one second returned %v", err)
				}
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if err := call(2 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call of two seconds returned %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := call(time.Minute); err != nil {
				t.Errorf("a call of a minute returned %v", err)
			}
		})
		<-time.After(3 * time.Second)
		if n := g.count(); n != 3 {
			t.Errorf("%d queries, want one for the calls that waited", n)
		}
		close(g.open)
		wg.Wait()
	})
}

func TestAnErrorOfAQueryIsThatOfItsCalls(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.Clients(1))
	close(g.open)
	g.err = errors.New("the database is unavailable")
	if _, err := store.NewGrouped(g).GetAll(t.Context(), []uuid.UUID{uuid.New()}); !errors.Is(err, g.err) {
		t.Errorf("GetAll returned %v, want %v", err, g.err)
	}
}
