// Package sqlite stores clients in a SQLite file, for an installation on one machine.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // the driver
)

// maxReaders is the maximum number of concurrent reads. Each reader has a page cache of 2 MB.
const maxReaders = 4

// Config configures Open.
type Config struct {
	// Path is the database file. If it or its directory does not exist, Open creates it, readable only by this user. SQLite keeps
	// two more files beside it, whose names end in -wal and -shm.
	Path string
}

// Store stores clients in a SQLite file. Other programs may use the file at the same time: writers wait for each other for up to
// 5 s.
type Store struct {
	// writer is one connection, so that writers queue in Go, where the context of each bounds its wait.
	writer *sql.DB
	// readers and the writer never wait for each other, because of the write-ahead log.
	readers *sql.DB
	path    string
	file    os.FileInfo // of path, when it was opened
	// calls is read-locked during each call: sql.DB.Close does not wait for calls in progress.
	calls sync.RWMutex
}

var _ store.Store = (*Store)(nil)

// Open opens the file, and creates it if it does not exist. An error about cfg names the field.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Path == "" {
		return nil, errors.New("Path: must not be empty")
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
	// The first connection must be a writer: it enables the write-ahead log, which a reader cannot.
	if err := writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), s.Close())
	}
	return s, nil
}

// Close waits for calls in progress, moves the write-ahead log into the database, and closes it.
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	// The last connection to close must be the writer: it moves the log into the database, which a reader cannot.
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

// GetAll implements store.Store.
func (s *Store) GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	found := make(map[uuid.UUID]domain.Client, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	s.calls.RLock()
	defer s.calls.RUnlock()
	values := make([]any, len(ids))
	for i, id := range ids {
		values[i] = id.String()
	}
	query := `SELECT ` + store.Columns + ` FROM clients WHERE id IN (?` + strings.Repeat(`, ?`, len(ids)-1) + `)` //nolint:gosec // constants
	err := each(ctx, s.readers, query, values, func(rows *sql.Rows) error {
		c, err := scan(rows)
		found[c.ID] = c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get %d clients: %w", len(ids), err)
	}
	return found, nil
}

// Count implements store.Store.
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

// Page implements store.Store.
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

// Attached returns nil if the file still has the path at which it was opened. SQLite would write to a moved or deleted file
// without an error, and the rows would be lost.
func (s *Store) Attached() error {
	file, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("the database file is missing: restore it and restart: %w", err)
	}
	if !os.SameFile(file, s.file) {
		return fmt.Errorf("%s was replaced while in use: restore the original file and restart", s.path)
	}
	return nil
}

// create creates the file and its directory if they do not exist. SQLite gives its other files the mode of this one.
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

// dsn returns the data source name of the file. A transaction is on disk when its commit returns: synchronous is FULL, and
// fullfsync flushes the drive's cache on macOS, where fsync does not.
func dsn(path, role string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	// secure_delete overwrites deleted content with zeros.
	u.RawQuery = "_pragma=secure_delete(1)&_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_pragma=fullfsync(1)&_dqs=false&" + role
	return u.String()
}
