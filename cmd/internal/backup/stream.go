package backup

import (
	"context"
	"encoding/json" // as the server and jsm write it
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"clientele/domain"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/jsm.go"
	"github.com/nats-io/jsm.go/api"
	"github.com/nats-io/nats-server/v2/server/archive"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// idleTimeout is how long the server may send nothing. The server itself cancels a copy after 5 s without an acknowledgement.
const idleTimeout = 30 * time.Second

// streamCopy is the copy of a stream: its messages and consumers in one file, its settings in another.
type streamCopy struct {
	name   string
	config api.StreamConfig
	size   int64
}

func (s streamCopy) data() string { return s.name + ".s2" }
func (s streamCopy) meta() string { return s.name + ".json" }

// snapshot copies a stream with its consumers.
func snapshot(ctx context.Context, cfg Config, m *Manifest, name string) (s streamCopy, err error) {
	s.name = name
	// Unlike jsm, this ends with the context, for example when the user lacks the right.
	lookUp, err := jetstream.New(cfg.Conn)
	if err != nil {
		return s, err
	}
	if _, err := lookUp.Stream(ctx, name); err != nil {
		return s, err
	}
	js, err := jsm.New(cfg.Conn, jsm.WithTimeout(idleTimeout))
	if err != nil {
		return s, err
	}
	stream, err := js.LoadStream(name)
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(idleTimeout, func() { cancel(fmt.Errorf("NATS has sent nothing for %s", idleTimeout)) })
	defer silent.Stop()
	data, err := newFileWriter(cfg.Dir, s.data(), func(size int64) {
		silent.Reset(idleTimeout)
		cfg.Progress(name, size, 0)
	})
	if err != nil {
		return s, err
	}
	defer data.Close()
	meta, err := newFileWriter(cfg.Dir, s.meta(), nil)
	if err != nil {
		return s, err
	}
	defer meta.Close()
	if _, err := stream.SnapshotToBuffer(ctx, keepOpen{data}, keepOpen{meta}, jsm.SnapshotConsumers()); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if strings.HasPrefix(err.Error(), "408") {
			err = fmt.Errorf("%w: NATS has received no acknowledgements; allow the user to publish to $JS.SNAPSHOT.ACK.>, "+
				"as in deploy/nats/accounts.conf", err)
		}
		return s, err
	}
	if err := errors.Join(data.Close(), meta.Close()); err != nil {
		return s, err
	}
	m.Files = append(m.Files, data.entry(), meta.entry())
	return openCopy(cfg, name)
}

// keepOpen ignores Close: the owner of the file closes it and checks the error.
type keepOpen struct{ io.Writer }

// Close does nothing.
func (keepOpen) Close() error { return nil }

// openCopy returns the copy of a stream in the directory.
func openCopy(cfg Config, name string) (s streamCopy, err error) {
	s.name = name
	var meta api.JSApiStreamRestoreRequest
	content, err := os.ReadFile(filepath.Join(cfg.Dir, s.meta()))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(content, &meta); err != nil {
		return s, fmt.Errorf("%s: %w", s.meta(), err)
	}
	s.config = meta.Config
	info, err := os.Stat(filepath.Join(cfg.Dir, s.data()))
	if err == nil {
		s.size = info.Size()
	}
	return s, err
}

// message is one message of a copy.
type message struct {
	time    time.Time
	subject string
	headers []byte
	body    []byte
}

// header returns a header of the message, or "".
func (m message) header(name string) string {
	if len(m.headers) == 0 {
		return ""
	}
	header, err := nats.DecodeHeadersMsg(m.headers)
	if err != nil {
		return ""
	}
	return header.Get(name)
}

// read reads the whole copy from disk, calls yield with each message, and returns its description.
func (s streamCopy) read(ctx context.Context, cfg Config, yield func(message)) (Stream, error) {
	copied := Stream{Name: s.name}
	file, err := os.Open(filepath.Join(cfg.Dir, s.data()))
	if err != nil {
		return copied, err
	}
	defer file.Close()
	entries := archive.NewReader(s2.NewReader(&meter{Reader: file, ctx: ctx, read: func(n int64) { cfg.Progress("check "+s.name, n, s.size) }}))
	for {
		entry, err := entries.Next()
		if err != nil {
			return copied, err // a complete copy ends with an empty entry
		}
		switch {
		case entry.Sequence > 0:
			msg := message{time: time.Unix(0, entry.Timestamp), headers: make([]byte, entry.HeaderSize)}
			if _, err := io.ReadFull(entries, msg.headers); err != nil {
				return copied, err
			}
			if s.name == domain.StreamAudit { // the others are not restored from their messages
				msg.subject, msg.body = entry.Name, make([]byte, entry.PayloadSize)
				if _, err := io.ReadFull(entries, msg.body); err != nil {
					return copied, err
				}
			}
			copied.Messages++
			copied.Bytes += uint64(entry.HeaderSize + entry.PayloadSize)
			yield(msg)
		case entry.Name == "":
			return copied, nil
		case strings.HasPrefix(entry.Name, "consumers/"):
			var consumer struct {
				Config api.ConsumerConfig `json:"config"`
			}
			if err := json.NewDecoder(entries).Decode(&consumer); err != nil {
				return copied, err
			}
			if consumer.Config.Durable != "" {
				copied.Consumers++
			}
		default: // the state of the stream
			var state api.StreamState
			if err := json.NewDecoder(entries).Decode(&state); err != nil {
				return copied, err
			}
			copied.FirstSeq, copied.LastSeq = state.FirstSeq, state.LastSeq
		}
	}
}

// restore creates the stream from the copy, with these settings.
func (s streamCopy) restore(ctx context.Context, cfg Config, settings api.StreamConfig) error {
	js, err := jsm.New(cfg.Conn, jsm.WithTimeout(idleTimeout))
	if err != nil {
		return err
	}
	data, err := os.Open(filepath.Join(cfg.Dir, s.data()))
	if err != nil {
		return err
	}
	defer data.Close()
	meta, err := os.Open(filepath.Join(cfg.Dir, s.meta()))
	if err != nil {
		return err
	}
	defer meta.Close()
	// The server may need long for the last part, and jsm waits for it without a context.
	defer context.AfterFunc(ctx, cfg.Conn.Close)()
	source := &meter{Reader: data, ctx: ctx, read: func(n int64) { cfg.Progress(s.name, n, s.size) }}
	_, err = js.RestoreSnapshotFromBuffer(ctx, s.name, io.NopCloser(source), meta,
		jsm.RestoreConfiguration(settings), jsm.SnapshotChunkSize(256<<10))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w: NATS does not respond; allow the user to publish to $JS.SNAPSHOT.RESTORE.>, as in deploy/nats/accounts.conf", err)
	}
	return err
}
