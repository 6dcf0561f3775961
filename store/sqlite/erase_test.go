package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store/storetest"
)

// SQLite waits for readers of the write-ahead log, but not for another connection that empties it.
func TestEraseWhileTheLogIsEmptied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clientele.db")
	s := migrated(t, path)
	clients := storetest.Clients(100)
	if _, err := s.Create(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	other, erased := raw(t, path), make(chan struct{})
	var emptying sync.WaitGroup
	defer emptying.Wait()
	defer close(erased)
	emptying.Go(func() {
		for {
			select {
			case <-erased:
				return
			default:
			}
			if _, err := other.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i, c := range clients {
		if _, err := s.Erase(t.Context(), c.ID, domain.NewErasure(c.ID, time.Now(), "", "")); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
	}
}
