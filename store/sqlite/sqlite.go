// Package sqlite keeps clients in a SQLite file, for an installation on one machine.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // the driver
)

// maxReaders is how many calls of Get and Ready read at once. Each reader has a page cache of 2 MB.
const maxReaders = 4

// Config says where the database is.
type Config struct {
	// Path is the file that holds it. It is made if it is not there, readable for this user only, as is its directory.
	// SQLite keeps two more files beside it, whose names end in -wal and -shm.
	Path string
}

// Store keeps clients in a SQLite file. Other programs may use the file meanwhile: they wait for each other, for up to
// 5 s.
type Store struct {
	// writer is one connection, so that writers queue up in Go, where each waits for as long as its context allows.
	writer *sql.DB
	// readers never wait for the writer, nor it for them: that is what the write-ahead log is for.
	readers *sql.DB
	path    string
	file    os.FileInfo // of path, when it was opened
	// calls is held for reading during each call; sql.DB does not wait for them when it is closed.
	calls sync.RWMutex
}

var _ store.Store = (*Store)(nil)

// Open opens the file, or makes it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Path == "" {
		return nil, errors.New("Path: is empty")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("Path: %w", err)
	}
	file, err := create(path)
	if err != nil {
		return nil, fmt.Errorf("create the database: %w", err)
	}
	writer, err := sql.Open("sqlite", dsn(path, "_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	writer.SetMaxOpenConns(1)
	readers, err := sql.Open("sqlite", dsn(path, "_query_only=true"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), writer.Close())
	}
	readers.SetMaxOpenConns(maxReaders)
	readers.SetMaxIdleConns(maxReaders)
	s := &Store{writer: writer, readers: readers, path: path, file: file}
	// The first connection of the writer turns the write-ahead log on, which readers could not.
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), s.Close())
	}
	return s, nil
}

// Close waits for calls in progress, moves the write-ahead log into the database, and closes it.
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	// The last connection is the one that cleans up, which a reader may not.
	return errors.Join(s.readers.Close(), s.writer.Close())
}

// Get returns the client with this id, or an error with domain.CodeNotFound.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (domain.Client, error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	c, err := scan(s.readers.QueryRowContext(ctx, selectClient, id.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Client{}, domain.Errorf(domain.CodeNotFound, "no client has this id")
	}
	if err != nil {
		return domain.Client{}, fmt.Errorf("get a client: %w", err)
	}
	return c, nil
}

// Count returns how many clients were created at from or later, and before to.
func (s *Store) Count(ctx context.Context, from, to time.Time) (n int, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	err = s.readers.QueryRowContext(ctx, `SELECT count(*) FROM clients WHERE created_at >= ? AND created_at < ?`,
		from.UnixMicro(), to.UnixMicro()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count clients: %w", err)
	}
	return n, nil
}

// Page returns the next n of those clients in the order of their ids, as store.Store has it.
func (s *Store) Page(ctx context.Context, from, to time.Time, after uuid.UUID, n int) (clients []domain.Client, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	//nolint:gosec // the columns are a constant
	rows, err := s.readers.QueryContext(ctx, `SELECT `+store.Columns+` FROM clients
		WHERE id > ? AND created_at >= ? AND created_at < ? ORDER BY id LIMIT ?`, after.String(), from.UnixMicro(), to.UnixMicro(), n)
	if err != nil {
		return nil, fmt.Errorf("read clients: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read clients: %w", err)
		}
		clients = append(clients, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read clients: %w", err)
	}
	return clients, nil
}

// Delete removes the client with this id, if there is one, from the file and from the write-ahead log.
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	if _, err := s.writer.ExecContext(ctx, `DELETE FROM clients WHERE id = ?`, id.String()); err != nil {
		return fmt.Errorf("delete a client: %w", err)
	}
	// The log has the pages as they were.
	var busy, frames, moved int
	if err := s.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil || busy != 0 {
		return errors.Join(errors.New("the client is deleted, and not yet from the write-ahead log: readers are busy, delete it again"), err)
	}
	return nil
}

// Attached returns nil while the file is where it was opened. A file that was moved or deleted goes on taking rows, which
// nobody will find.
func (s *Store) Attached() error {
	file, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("the database is gone, bring it back and start again: %w", err)
	}
	if !os.SameFile(file, s.file) {
		return fmt.Errorf("%s was replaced while in use: bring back the one that was there, and start again", s.path)
	}
	return nil
}

// create makes the file and its directory where they are missing. SQLite gives its other files the mode of this one.
func create(path string) (os.FileInfo, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}

// dsn returns the data source name of the file. A transaction is on disk when its commit returns: synchronous is FULL,
// and fullfsync makes macOS, where fsync leaves data in the drive's cache, mean it.
func dsn(path, role string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	// secure_delete overwrites what is deleted with zeros.
	u.RawQuery = "_pragma=secure_delete(1)&_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_pragma=fullfsync(1)&_dqs=false&" + role
	return u.String()
}
