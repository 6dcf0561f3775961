package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/google/uuid"
)

// A new connection to a file that was moved away creates none in its place. An empty one would empty the write-ahead log beside it, which
// has the rows that are not in the file yet.
func TestNoConnectionCreatesAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	opened, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	db := storetest.Migrated(t, opened, err)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 32 { // each at once needs a connection of its own
		readers.Go(func() { _, _ = db.Get(t.Context(), uuid.New()) })
	}
	readers.Wait()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was created: %v", err)
	}
}
