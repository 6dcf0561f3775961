package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"clientele/domain"
	"clientele/store"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		path := filepath.Join(t.TempDir(), "clientele.db")
		return storetest.Database{
			Open: func() (store.Store, error) { return sqlite.Open(context.Background(), sqlite.Config{Path: path}) },
			Exec: func(statement string) error {
				_, err := raw(t, path).Exec(statement)
				return err
			},
		}
	})
}

func BenchmarkCreate(b *testing.B) {
	storetest.Benchmark(b, migrated(b, filepath.Join(b.TempDir(), "clientele.db")))
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("this file is a text, and it is longer than the header of a database is"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"no path": "", "a directory": dir, "another file": text} {
		t.Run(name, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
			}
		})
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b #1?mode=memory%20")
	path := filepath.Join(dir, "clientele.db")
	migrated(t, path)
	for name, want := range map[string]os.FileMode{
		filepath.Dir(dir): 0o700 | os.ModeDir, dir: 0o700 | os.ModeDir, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// TestPragmas checks settings whose effect shows only after a power loss.
func TestPragmas(t *testing.T) {
	s := migrated(t, filepath.Join(t.TempDir(), "clientele.db"))
	for _, test := range []struct {
		db           *sql.DB
		pragma, want string
	}{
		{s.Writer(), "journal_mode", "wal"},
		{s.Writer(), "synchronous", "2"}, // FULL
		{s.Writer(), "fullfsync", "1"},
		{s.Writer(), "busy_timeout", "5000"},
		{s.Readers(), "query_only", "1"},
	} {
		var got string
		if err := test.db.QueryRow(`PRAGMA ` + test.pragma).Scan(&got); err != nil || got != test.want {
			t.Errorf("%s is %q, %v, want %q", test.pragma, got, err, test.want)
		}
	}
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clientele.db")
	s := migrated(t, path)
	clients := storetest.Clients(1)
	if _, err := s.Create(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	created, cancel := blocked(t, s, path)
	ctx, done := context.WithTimeout(t.Context(), 15*time.Second)
	defer done()
	if _, err := s.Get(ctx, clients[0].ID); err != nil {
		t.Errorf("Get returned %v", err)
	}
	if err := s.Ready(ctx); err != nil {
		t.Errorf("Ready returned %v", err)
	}
	cancel()
	if err := <-created; !errors.Is(err, context.Canceled) || domain.CodeOf(err) != "" {
		t.Errorf("Create returned %v, want %v", err, context.Canceled)
	}
}

func TestCloseWaitsForCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clientele.db")
	s := migrated(t, path)
	created, cancel := blocked(t, s, path)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v while a call was in progress", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-created; !errors.Is(err, context.Canceled) {
		t.Errorf("Create returned %v, want %v", err, context.Canceled)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close returned %v", err)
	}
}

// blocked starts a Create that waits for another program. It returns the result of the Create and a function that cancels it.
func blocked(t *testing.T, s *sqlite.Store, path string) (created <-chan error, cancel func()) {
	t.Helper()
	if _, err := raw(t, path).Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	end := make(chan error, 1)
	go func() {
		_, err := s.Create(ctx, storetest.Clients(1))
		end <- err
	}()
	for s.Writer().Stats().InUse == 0 {
		runtime.Gosched()
	}
	return end, cancel
}

func migrated(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	return storetest.Migrated(t, s, err)
}

// raw returns a new connection to the file.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", fmt.Sprintf("file:%s?_busy_timeout=5000", path))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
