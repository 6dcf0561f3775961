// Package backup copies the streams and the clients of Clientele to a directory, and restores them into empty servers.
// ARCHITECTURE.md explains why the copy is consistent.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"clientele/domain"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// format increases when older programs cannot restore the new format. Since 3, clients have their callers; since 4, there are the
	// audit stream and that of subscriptions; since 5, the bucket of webhooks.
	format       = 5
	oldestFormat = 2

	manifestFile = "manifest.json"
	clientsFile  = "clients.ndjson.gz"
	erasuresFile = "erasures.json"
	holdsFile    = "holds.json"
)

// Clients is the part with which Progress is called for the clients.
const Clients = "clients"

// Manifest describes a backup. It is written last: a directory without it is not a backup.
type Manifest struct {
	Format    int       `json:"format"`
	ID        string    `json:"id"`
	Clientele string    `json:"clientele"`
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended"`
	Streams   []Stream  `json:"streams"`
	Rows      int       `json:"rows"`
	// Erasures is the number of tombstones of erased clients.
	Erasures int `json:"erasures"`
	// Holds is the number of legal holds.
	Holds int `json:"holds,omitzero"`
	// Content is the SHA-256 of all clients, tombstones and holds, uncompressed. It does not depend on the kind of database.
	Content string `json:"content"`
	// EventsMissing is the number of clients whose events were published after the events were copied. Restore publishes them.
	EventsMissing int    `json:"eventsMissing"`
	Files         []File `json:"files"`
}

// Stream describes the copy of a stream.
type Stream struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	FirstSeq uint64 `json:"firstSequence"`
	LastSeq  uint64 `json:"lastSequence"`
	// Consumers is the number of durable consumers: that of the workers and those of subscribers.
	Consumers int `json:"consumers"`
}

// streamNames are copied in this order and restored in reverse, see Create and Restore. Old backups lack the last ones. An event that a
// consumer no longer delivers was recorded before: so subscriptions are copied after the events and their consumers.
var streamNames = []string{
	domain.StreamCommands, domain.StreamRejections, domain.StreamEvents, domain.StreamSubscriptions, domain.StreamAudit, domain.StreamWebhooks,
}

// ReadManifest returns the manifest of the backup in a directory, or an error if the backup is incomplete, damaged or in another
// format.
func ReadManifest(dir string) (m Manifest, err error) {
	content, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return m, fmt.Errorf("backup directory %s does not exist", dir)
		}
		return m, fmt.Errorf("%s is not a complete backup: it has no %s, which is written last", dir, manifestFile)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return m, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, manifestFile), err)
	}
	if m.Format < oldestFormat || m.Format > format {
		return m, fmt.Errorf("%s was created by clientele %s in format %d, but this program reads formats %d to %d: restore it with that version",
			dir, m.Clientele, m.Format, oldestFormat, format)
	}
	want := len(streamNames)
	switch {
	case m.Format < 4:
		want -= 3
	case m.Format < 5:
		want--
	}
	if len(m.Streams) != want {
		return m, fmt.Errorf("%s is damaged: it lists %d streams instead of %d", filepath.Join(dir, manifestFile), len(m.Streams), want)
	}
	return m, nil
}

// write writes the manifest atomically.
func (m Manifest) write(dir string) error {
	content, err := json.Marshal(m, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	w, err := newFileWriter(dir, manifestFile+".new", nil)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(content, '\n')); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return err
	}
	path := filepath.Join(dir, manifestFile)
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

// verify compares every file with its checksum.
func (m Manifest) verify(ctx context.Context, cfg Config) error {
	for _, file := range m.Files {
		if filepath.Base(file.Name) != file.Name {
			return fmt.Errorf("%s is damaged: it names the file %q", manifestFile, file.Name)
		}
		got, err := sum(ctx, cfg, file)
		if err != nil {
			return fmt.Errorf("check %s: %w", file.Name, err)
		}
		if got != file {
			return fmt.Errorf("%s is damaged: its size or its SHA-256 differs from %s; nothing was restored",
				filepath.Join(cfg.Dir, file.Name), manifestFile)
		}
	}
	return nil
}
