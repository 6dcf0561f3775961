//go:build faults

package faulttest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// outcome is what the database and the streams contain after a run.
type outcome struct {
	rows       map[uuid.UUID]*domain.Client
	events     map[string][]*jetstream.RawStreamMsg // by client id
	rejections map[string]domain.Rejection          // by command id
	commands   []*jetstream.RawStreamMsg
	rejected   []*jetstream.RawStreamMsg
	last       uint64 // sequence of the log
	kept       int    // events on the stream
	repeated   int    // events that a subscriber received again
	readBack   int    // accepted commands that were on the log
}

// read reads the outcome.
func (s *system) read() (*outcome, error) {
	o := &outcome{
		rows: map[uuid.UUID]*domain.Client{}, events: map[string][]*jetstream.RawStreamMsg{}, rejections: map[string]domain.Rejection{},
	}
	var err error
	if o.commands, err = messages(s.js, domain.StreamCommands); err != nil {
		return nil, err
	}
	o.commands = slices.DeleteFunc(o.commands, func(msg *jetstream.RawStreamMsg) bool { return strings.HasPrefix(msg.Subject, domain.SubjectSync) })
	events, err := messages(s.js, domain.StreamEvents)
	if err != nil {
		return nil, err
	}
	if o.last, _, err = s.progress(); err != nil {
		return nil, err
	}
	o.kept = len(events)
	for _, msg := range events {
		id := msg.Header.Get("ce-subject")
		o.events[id] = append(o.events[id], msg)
	}
	if o.rejected, err = messages(s.js, domain.StreamRejections); err != nil {
		return nil, err
	}
	for _, msg := range o.rejected {
		r, err := domain.ParseRejection(msg.Data)
		if err != nil {
			return nil, err
		}
		o.rejections[r.ID] = r
	}
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		c, err := s.clients.Get(context.Background(), id)
		if err != nil {
			return nil, err
		}
		o.rows[id] = &c
	}
	return o, nil
}

// messages returns all messages of a stream that its leader has now. A replica that is behind may answer, so it asks until it has the
// last one.
func messages(js jetstream.JetStream, name string) ([]*jetstream.RawStreamMsg, error) {
	const page = 1000
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	var all []*jetstream.RawStreamMsg
	last := stream.CachedInfo().State.LastSeq
	for next := uint64(1); next <= last; {
		msgs, err := jetstreamext.GetBatch(ctx, js, name, page, jetstreamext.GetBatchSeq(next))
		if err != nil {
			return nil, err
		}
		for msg, err := range msgs {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				break
			}
			if err != nil {
				return nil, err
			}
			all = append(all, msg)
			next = msg.Sequence + 1
		}
		if next <= last {
			info, err := stream.Info(ctx)
			if err != nil || info.State.Msgs == 0 || info.State.FirstSeq > last {
				return all, err // the rest was trimmed
			}
		}
	}
	return all, nil
}

// ids returns the ids of all clients.
func (s *system) ids() ([]uuid.UUID, error) {
	driver, source := "sqlite", filepath.Join(s.dir, "clientele.db")
	if s.postgres != nil {
		driver, source = "pgx", s.databaseURL
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), `SELECT id FROM clients`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
