package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/go-json-experiment/json"
)

// row is a line of the file: the record of a client, and its members that are not part of the API.
type row struct {
	domain.Client

	Fingerprint string    `json:"fingerprint"`
	AcceptedAt  time.Time `json:"acceptedAt"`
	CreatedAt   time.Time `json:"createdAt"`
	Caller      string    `json:"caller,omitzero"`
	KeyID       string    `json:"keyId,omitzero"`
	// EventMissing is true if the backup does not have the client's event.
	EventMissing bool `json:"eventMissing,omitzero"`
}

func encode(c domain.Client, eventMissing bool) ([]byte, error) {
	line, err := json.Marshal(row{
		Client: c, Fingerprint: c.Fingerprint.String(), AcceptedAt: c.AcceptedAt, CreatedAt: c.CreatedAt,
		Caller: c.Caller, KeyID: c.KeyID, EventMissing: eventMissing,
	})
	return append(line, '\n'), err
}

// Row returns a client as a JSON object with everything that the database has about it: the record, and its members that are not part of
// the API.
func Row(c domain.Client) ([]byte, error) { return encode(c, false) }

// decode refuses unknown members, which would be lost. Its errors quote no values.
func decode(line []byte) (c domain.Client, eventMissing bool, err error) {
	var r row
	if json.Unmarshal(line, &r, json.RejectUnknownMembers(true)) != nil {
		return c, false, errors.New("is not a client that this version can read")
	}
	c = r.Client
	c.AcceptedAt, c.CreatedAt, c.Caller, c.KeyID = r.AcceptedAt, r.CreatedAt, r.Caller, r.KeyID
	c.Fingerprint, err = domain.ParseFingerprint(r.Fingerprint)
	return c, r.EventMissing, err
}

// content computes the SHA-256 of clients in the order of their ids, and of the marks.
type content struct {
	hash hash.Hash
	rows int
}

func newContent() *content { return &content{hash: sha256.New()} }

func (c *content) add(client domain.Client) error {
	line, err := encode(client, false)
	c.hash.Write(line)
	c.rows++
	return err
}

// addMarks adds the holds only if there are any: the content of an earlier version's backup has none.
func (c *content) addMarks(marks store.Marks) error {
	err := json.MarshalWrite(c.hash, tombstones(marks.Erasures))
	if err == nil && len(marks.Holds) > 0 {
		err = json.MarshalWrite(c.hash, holds(marks.Holds))
	}
	return err
}

func (c *content) String() string { return hex.EncodeToString(c.hash.Sum(nil)) }

// contentOf returns the content of a database.
func contentOf(ctx context.Context, cfg Config, part string, total int) (*content, error) {
	c := newContent()
	marks, err := cfg.Clients.Export(ctx, func(client domain.Client) error {
		cfg.Progress(part, int64(c.rows), int64(total))
		return c.add(client)
	})
	return c, errors.Join(err, c.addMarks(marks))
}

// count returns the number of clients in a database.
func count(ctx context.Context, db store.Store) (int, error) {
	return db.Count(ctx, time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
}

// writeClients writes all clients and marks to their files. eventMissing reports whether the backup does not have the event of a client.
func writeClients(ctx context.Context, cfg Config, m *Manifest, eventMissing func(domain.Client) bool) error {
	total, err := count(ctx, cfg.Clients)
	if err != nil {
		return err
	}
	file, err := newFileWriter(cfg.Dir, clientsFile, nil)
	if err != nil {
		return err
	}
	defer file.Close()
	zip, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		return err
	}
	content := newContent()
	marks, err := cfg.Clients.Export(ctx, func(c domain.Client) error {
		if err := content.add(c); err != nil {
			return err
		}
		missing := eventMissing(c)
		if missing {
			m.EventsMissing++
		}
		line, err := encode(c, missing)
		if err != nil {
			return err
		}
		cfg.Progress(Clients, int64(content.rows), int64(total))
		_, err = zip.Write(line)
		return err
	})
	if err = errors.Join(err, content.addMarks(marks), zip.Close(), file.Close()); err != nil {
		return fmt.Errorf("copy the clients: %w", err)
	}
	m.Rows, m.Content = content.rows, content.String()
	m.Files = append(m.Files, file.entry())
	return writeMarks(cfg, m, marks)
}

// readClients calls yield with each client of a backup, and with whether its event is missing.
func readClients(ctx context.Context, dir string, yield func(c domain.Client, eventMissing bool) bool) error {
	file, err := os.Open(filepath.Join(dir, clientsFile))
	if err != nil {
		return err
	}
	defer file.Close()
	zip, err := gzip.NewReader(&meter{Reader: bufio.NewReaderSize(file, 1<<20), ctx: ctx, read: func(int64) {}})
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(zip, 1<<20)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d of %s: %w", number, clientsFile, err)
		}
		c, missing, err := decode(line)
		if err != nil {
			return fmt.Errorf("line %d of %s %w", number, clientsFile, err)
		}
		if !yield(c, missing) {
			return nil
		}
	}
}

// clientsOf returns the clients of a backup as a sequence for store.Archiver.
func clientsOf(ctx context.Context, cfg Config, m Manifest) iter.Seq2[domain.Client, error] {
	return func(yield func(domain.Client, error) bool) {
		n := 0
		err := readClients(ctx, cfg.Dir, func(c domain.Client, _ bool) bool {
			n++
			cfg.Progress(Clients, int64(n), int64(m.Rows))
			return yield(c, nil)
		})
		if err != nil {
			yield(domain.Client{}, err)
		}
	}
}
