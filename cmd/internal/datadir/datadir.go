// Package datadir has the data directory of serve. One process at a time uses it, and it keeps some space of its disk for itself: with
// the rest full, serve starts, refuses commands, finishes those that it has accepted, and removes what is finished.
package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"clientele/cmd/internal/process"

	"github.com/rs/zerolog"
)

const (
	// maxReserve is the size of the reserve in bytes. NATS needs 8 MiB of it to rewrite a block of a stream, SQLite as much for its
	// write-ahead log.
	maxReserve = 64 << 20
	// reserveShare is the part of a smaller disk that the reserve has at most.
	reserveShare = 16
	// minFree is the free space in bytes that a start needs. With less, the first write would fail and end the process.
	minFree = 1 << 20
	// watchInterval is the interval in which Run measures the disk.
	watchInterval = time.Second
)

// Dir is a data directory. It is locked until Close or the end of the process, however that ends.
type Dir struct {
	path string
	lock *os.File
}

// InUseError means that another process has locked the directory.
type InUseError struct{ Dir string }

func (e *InUseError) Error() string {
	return e.Dir + " is in use by another clientele: stop it, or choose another directory"
}

// FullError means that the disk is full, and that nothing is left of the reserve.
type FullError struct {
	Dir  string
	Free int64 // bytes that a start needs
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the disk of %s is full, and the reserve is used up: free %d MiB and start again; no accepted command is lost", e.Dir, e.Free>>20)
}

// Open creates the directory, for this user only, and locks it. If its disk is almost full, Open gives up the reserve. The error is an
// *InUseError if another process has the lock, and a *FullError if there is no room for a start.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory: %w: choose another directory", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory: %w: choose another directory", err)
	}
	d := &Dir{path, lock}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.Close()
		return nil, &InUseError{Dir: path}
	}
	if err := d.makeRoom(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Start opens the directory for a process, watches its disk, and closes it when the process stops. Its errors are those of Open.
func Start(ctx context.Context, p *process.Process, path string) (*Dir, error) {
	d, err := Open(path)
	if err != nil {
		return nil, err
	}
	p.OnStop("data directory", func(context.Context) error { d.Close(); return nil })
	p.Metrics.MustRegister(d)
	p.Go(ctx, "disk", func(ctx context.Context) { d.Run(ctx, p.Log) })
	return d, nil
}

// Close unlocks the directory.
func (d *Dir) Close() { _ = d.lock.Close() }

// makeRoom creates the reserve if the disk has room for it, and removes it if the disk is almost full.
func (d *Dir) makeRoom() error {
	free, size, err := Disk(d.path)
	if err != nil {
		return err
	}
	if free >= reserveOf(size) {
		return d.keep()
	}
	if err := os.Remove(d.reserve()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("give up the reserve: %w", err)
	}
	if free, _, err = Disk(d.path); err == nil && free < minFree {
		err = &FullError{d.path, reserveOf(size)}
	}
	return err
}

// keep creates the reserve if it does not exist and as much space is free beside it. A file system that cannot allocate space has none.
func (d *Dir) keep() error {
	free, size, err := Disk(d.path)
	if err != nil || d.kept() || free < 2*reserveOf(size) {
		return err
	}
	file, err := os.OpenFile(d.reserve(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep a reserve: %w", err)
	}
	err = allocate(file, reserveOf(size))
	if err := errors.Join(err, file.Close()); err != nil {
		return os.Remove(d.reserve())
	}
	return nil
}

func (d *Dir) reserve() string { return filepath.Join(d.path, "reserve") }

// kept reports whether the reserve exists.
func (d *Dir) kept() bool {
	_, err := os.Stat(d.reserve())
	return err == nil
}

// reserveOf returns the size of the reserve on a disk of a size, in bytes.
func reserveOf(size int64) int64 { return min(maxReserve, size/reserveShare) }

// Full reports whether less space is free than a reserve, beside the reserve. Then new commands must be refused, because the
// outcomes of those on the log need room. It costs some microseconds. A nil Dir is never full.
func (d *Dir) Full() bool {
	if d == nil {
		return false
	}
	free, size, err := Disk(d.path)
	if !d.kept() {
		free -= reserveOf(size)
	}
	return err == nil && free < reserveOf(size)
}

// Run logs when the disk becomes full and when it has room again, and creates the reserve again, until the context ends.
func (d *Dir) Run(ctx context.Context, log zerolog.Logger) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for before := false; ; {
		full := d.Full()
		switch {
		case full && !before:
			log.Error().Str("dir", d.path).Msg("the disk is almost full: new commands are refused until it has room")
		case !full && before:
			log.Info().Str("dir", d.path).Msg("the disk has room again: new commands are accepted")
		}
		if before = full; !full {
			_ = d.keep() // tried again
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
