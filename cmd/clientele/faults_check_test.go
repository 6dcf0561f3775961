//go:build faults

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// outcome is what the database and the streams say in the end.
type outcome struct {
	rows       map[uuid.UUID]*domain.Client
	events     map[string][]*jetstream.RawStreamMsg // by client id
	rejections map[string]domain.Rejection          // by command id
	commands   []*jetstream.RawStreamMsg
	kept       int // events on the stream
	repeated   int // events that a subscriber heard again
}

// read reads all that there is.
func (s *stage) read() (*outcome, error) {
	o := &outcome{
		rows: map[uuid.UUID]*domain.Client{}, events: map[string][]*jetstream.RawStreamMsg{}, rejections: map[string]domain.Rejection{},
	}
	var err error
	if o.commands, err = s.stream(domain.StreamCommands); err != nil {
		return nil, err
	}
	events, err := s.stream(domain.StreamEvents)
	if err != nil {
		return nil, err
	}
	o.kept = len(events)
	for _, msg := range events {
		id := msg.Header.Get("ce-subject")
		o.events[id] = append(o.events[id], msg)
	}
	rejections, err := s.stream(domain.StreamRejections)
	if err != nil {
		return nil, err
	}
	for _, msg := range rejections {
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

// stream returns all messages of a stream.
func (s *stage) stream(name string) ([]*jetstream.RawStreamMsg, error) {
	const page = 1000
	ctx := context.Background()
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	var all []*jetstream.RawStreamMsg
	last := stream.CachedInfo().State.LastSeq
	for next := uint64(1); next <= last; {
		msgs, err := jetstreamext.GetBatch(ctx, s.js, name, page, jetstreamext.GetBatchSeq(next))
		if err != nil {
			return nil, err
		}
		for msg, err := range msgs {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				return all, nil
			}
			if err != nil {
				return nil, err
			}
			all = append(all, msg)
			next = msg.Sequence + 1
		}
	}
	return all, nil
}

// check holds what the callers were told against the outcome: the invariants of ARCHITECTURE.md, by their numbers.
func (s *stage) check(h *history) (*outcome, []string) {
	var violations []string
	violation := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	if !s.drained() {
		violation("6: the backlog does not drain")
	}
	o, err := s.read()
	if err != nil {
		return nil, append(violations, "what is kept cannot be read: "+err.Error())
	}
	byTag := map[string]*claim{}
	for _, c := range h.claims {
		byTag[c.tag] = c
		row := o.rows[c.id]
		if !c.was(accepted202) {
			continue
		}
		_, rejected := o.rejections[c.id.String()]
		switch {
		case row == nil:
			violation("1: %s was accepted, and client %s is not there", c.tag, c.id)
		case row.LastName != c.tag && !rejected:
			violation("1: %s was accepted, but client %s is another and nothing was rejected", c.tag, c.id)
		case row.LastName == c.tag && rejected && len(h.byKey[c.key]) < 2:
			violation("1: %s was accepted, and is a client and rejected", c.tag)
		}
	}
	tags := map[string]bool{}
	for id, row := range o.rows {
		c := byTag[row.LastName]
		switch {
		case c == nil:
			violation("2: client %s is nobody's: %s", id, row.LastName)
			continue
		case c.invalid || !c.was(accepted202, unknown503, brokenOff):
			violation("2: client %s was refused: %v", id, c.answers)
		case c.key != "" && c.id != id:
			violation("3: client %s should have the id %s", id, c.id)
		case tags[c.tag]:
			violation("3: %s has a second row, %s", c.tag, id)
		}
		tags[c.tag] = true
		s.checkEvents(row, o.events[id.String()], violation)
	}
	for id := range o.events {
		if parsed, err := uuid.Parse(id); err != nil || o.rows[parsed] == nil {
			violation("4: an event of %q, which is no client", id)
		}
	}
	for _, msg := range o.commands {
		id := strings.TrimPrefix(msg.Subject, domain.SubjectCreate)
		_, rejected := o.rejections[id]
		if o.rows[uuid.MustParse(id)] == nil && !rejected {
			violation("5: command %s, at %d, is acknowledged and has no outcome", id, msg.Sequence)
		}
	}
	for id, r := range o.rejections {
		if r.Reason != domain.CodeKeyReused || o.rows[uuid.MustParse(id)] == nil {
			violation("1: command %s was rejected as %s", id, r.Reason)
		}
	}
	s.heard.mu.Lock()
	defer s.heard.mu.Unlock()
	o.repeated = s.heard.repeated
	for _, id := range s.heard.unequal {
		violation("3: the events of client %s are not equal", id)
	}
	s.checkSecrets(o, violation)
	return o, append(violations, h.violations...)
}

func (s *stage) checkEvents(row *domain.Client, events []*jetstream.RawStreamMsg, violation func(string, ...any)) {
	want, err := domain.NewEvent(*row)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(events) == 0 {
		violation("3: client %s has no event", row.ID)
	}
	for _, e := range events {
		if e.Header.Get("ce-id") != want.ID.String() || !bytes.Equal(e.Data, want.Body) {
			violation("3: an event of client %s is not that of its row", row.ID)
		}
	}
}

// checkFloor looks, in the middle of a run, whether the commands just below the ack floor have their outcome. It says
// nothing while the servers are away.
func (s *stage) checkFloor() (violations []string) {
	const span = 300
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, floor, err := s.progress()
	if err != nil {
		return nil
	}
	msgs, err := jetstreamext.GetBatch(ctx, s.js, domain.StreamCommands, span, jetstreamext.GetBatchSeq(max(floor, span)-span+1))
	if err != nil {
		return nil
	}
	for msg, err := range msgs {
		if err != nil || msg.Sequence > floor {
			return violations
		}
		id := strings.TrimPrefix(msg.Subject, domain.SubjectCreate)
		if _, err := s.clients.Get(ctx, uuid.MustParse(id)); domain.CodeOf(err) != domain.CodeNotFound {
			continue
		}
		rejections, err := s.js.Stream(ctx, domain.StreamRejections)
		if err != nil {
			return violations
		}
		if _, err := rejections.GetLastMsgForSubject(ctx, domain.SubjectRejected+id); errors.Is(err, jetstream.ErrMsgNotFound) {
			violations = append(violations, fmt.Sprintf("5: command %s is below the ack floor and has no outcome", id))
		}
	}
	return violations
}

// checkSecrets looks for personal data where none may be.
func (s *stage) checkSecrets(o *outcome, violation func(string, ...any)) {
	if strings.Contains(s.written(), marker) {
		violation("7: personal data in what a process wrote")
	}
	msgs := o.commands
	for _, events := range o.events {
		msgs = append(msgs, events...)
	}
	for _, msg := range msgs {
		for name, values := range msg.Header {
			if strings.Contains(msg.Subject+name+strings.Join(values, " "), marker) {
				violation("7: personal data in the headers of %s", msg.Subject)
			}
		}
	}
}

// checkOperations asks the API how accepted claims ended.
func (s *stage) checkOperations(h *history) []string {
	const most = 1000
	var violations []string
	for i, c := range h.claims {
		if !c.was(accepted202) || i%(1+len(h.claims)/most) != 0 {
			continue
		}
		r, err := tryGet(s.apis[i%len(s.apis)] + "/api/v2/operations/" + c.id.String())
		if err != nil || r.status != 200 || !strings.Contains(r.body, `"status":"succeeded"`) {
			violations = append(violations, fmt.Sprintf("1: the operation of %s: %d %s (%v)", c.tag, r.status, r.body, err))
		}
	}
	return violations
}

// ids returns the ids of all clients.
func (s *stage) ids() ([]uuid.UUID, error) {
	driver, source := "sqlite", filepath.Join(s.dir, "clientele.db")
	if s.postgres != nil {
		driver, source = "pgx", s.postgres.URL()
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
