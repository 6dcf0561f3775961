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
	"sync"

	"clientele/store"

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
	// A connection creates no file: in place of a file that was moved away, it would be empty, and empty the write-ahead log beside it.
	// secure_delete overwrites deleted content with zeros.
	u.RawQuery = "mode=rw&_pragma=secure_delete(1)&_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_pragma=fullfsync(1)&_dqs=false&" + role
	return u.String()
}
