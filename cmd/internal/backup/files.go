package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"clientele/store"

	"github.com/nats-io/nats.go"
)

// newDir creates the directory, accessible only by this user. An existing directory must be empty.
func newDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose an empty directory, or one that does not exist", dir)
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a directory needs the execute bit
}

// fileWriter writes and hashes a file of a backup. After Close, the file is on disk.
type fileWriter struct {
	name    string
	file    *os.File
	buffer  *bufio.Writer
	hash    hash.Hash
	size    int64
	written func(size int64) // called after each write, or nil
}

func newFileWriter(dir, name string, written func(size int64)) (*fileWriter, error) {
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &fileWriter{name: name, file: file, buffer: bufio.NewWriterSize(file, 1<<20), hash: sha256.New(), written: written}, nil
}

// Write implements io.Writer.
func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.buffer.Write(b)
	w.hash.Write(b[:n])
	w.size += int64(n)
	if w.written != nil {
		w.written(w.size)
	}
	return n, err
}

// Close syncs and closes the file. A second call does nothing.
func (w *fileWriter) Close() error {
	if w.file == nil {
		return nil
	}
	err := errors.Join(w.buffer.Flush(), w.file.Sync(), w.file.Close())
	w.file = nil
	return err
}

// entry returns the manifest's entry for the file. Call it after Close.
func (w *fileWriter) entry() File {
	return File{Name: w.name, Size: w.size, SHA256: hex.EncodeToString(w.hash.Sum(nil))}
}

// sum returns the manifest's entry for the file that is on disk.
func sum(ctx context.Context, cfg Config, want File) (File, error) {
	file, err := os.Open(filepath.Join(cfg.Dir, want.Name))
	if err != nil {
		return File{}, err
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, &meter{Reader: file, ctx: ctx, read: func(n int64) { cfg.Progress("check "+want.Name, n, want.Size) }})
	return File{Name: want.Name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

// meter reports the number of bytes read, and fails after its context ends.
type meter struct {
	io.Reader

	ctx  context.Context //nolint:containedctx // a reader has no other way to be interrupted
	n    int64
	read func(n int64)
}

// Read implements io.Reader.
func (m *meter) Read(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.Reader.Read(b)
	m.n += int64(n)
	m.read(m.n)
	return n, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Config configures Create and Restore.
type Config struct {
	// Dir is the directory of the backup.
	Dir string
	// Conn is a connection to the server with the streams. Its user must be allowed to subscribe to its inboxes.
	Conn    *nats.Conn
	Clients store.Store
	// Version is the version of this program, for the manifest.
	Version string
	// Progress is called with the progress of a part, in bytes of a stream or in clients. total is 0 if it is unknown.
	Progress func(part string, done, total int64)
}

// File is a file of a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}
