package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

const (
	insertErasure = `INSERT INTO erasures (hash, erased_at, reason, operator) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`
	insertHold    = `INSERT INTO holds (hash, last_day, held_at, reason, operator) VALUES (?, ?, ?, ?, ?)`
)

func erasureValues(e domain.Erasure) []any {
	return []any{e.Hash[:], e.ErasedAt.UnixMicro(), e.Reason, e.Operator}
}

func holdValues(h domain.Hold) []any {
	return []any{h.Hash[:], h.Until(), h.HeldAt.UnixMicro(), h.Reason, h.Operator}
}

// Hold implements store.Store.
func (s *Store) Hold(ctx context.Context, hold domain.Hold) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	if err := s.hold(ctx, hold); err != nil {
		return fmt.Errorf("hold a client: %w", err)
	}
	return nil
}

func (s *Store) hold(ctx context.Context, hold domain.Hold) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	marks, err := readMarks(ctx, tx, hold.Hash)
	if err != nil {
		return err
	}
	if len(marks.Erasures) > 0 {
		return domain.Errorf(domain.CodeErased, "the client was erased")
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM holds WHERE hash = ?`, hold.Hash[:]); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, insertHold, holdValues(hold)...); err != nil {
		return err
	}
	return tx.Commit()
}

// Release implements store.Store.
func (s *Store) Release(ctx context.Context, id uuid.UUID) (held bool, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	hash := domain.ErasureHash(id)
	done, err := s.writer.ExecContext(ctx, `DELETE FROM holds WHERE hash = ?`, hash[:])
	if err != nil {
		return false, fmt.Errorf("release a client: %w", err)
	}
	deleted, err := done.RowsAffected()
	return deleted > 0, err
}

// Marks implements store.Store.
func (s *Store) Marks(ctx context.Context, ids ...uuid.UUID) (store.Marks, error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	hashes := make([][sha256.Size]byte, len(ids))
	for i, id := range ids {
		hashes[i] = domain.ErasureHash(id)
	}
	marks, err := readMarks(ctx, s.readers, hashes...)
	if err != nil {
		return store.Marks{}, fmt.Errorf("read tombstones and holds: %w", err)
	}
	return marks, nil
}

func insertMarks(ctx context.Context, tx *sql.Tx, marks store.Marks) error {
	for _, e := range marks.Erasures {
		if _, err := tx.ExecContext(ctx, insertErasure, erasureValues(e)...); err != nil {
			return err
		}
	}
	for _, h := range marks.Holds {
		if _, err := tx.ExecContext(ctx, insertHold, holdValues(h)...); err != nil {
			return err
		}
	}
	return nil
}

// querier is a pool, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, sql string, args ...any) (*sql.Rows, error)
}

// readMarks returns the marks with these hashes, or without hashes all of them.
func readMarks(ctx context.Context, db querier, hashes ...[sha256.Size]byte) (marks store.Marks, err error) {
	where, args := ` ORDER BY hash`, make([]any, len(hashes))
	for i := range hashes {
		args[i] = hashes[i][:]
	}
	if len(hashes) > 0 {
		where = ` WHERE hash IN (?` + strings.Repeat(`, ?`, len(hashes)-1) + `) ORDER BY hash`
	}
	err = each(ctx, db, `SELECT hash, erased_at, reason, operator FROM erasures`+where, args, func(rows *sql.Rows) error {
		var e domain.Erasure
		var hash []byte
		var erased int64
		if err := rows.Scan(&hash, &erased, &e.Reason, &e.Operator); err != nil {
			return err
		}
		e.Hash, e.ErasedAt = [sha256.Size]byte(hash), time.UnixMicro(erased).UTC()
		marks.Erasures = append(marks.Erasures, e)
		return nil
	})
	if err != nil {
		return store.Marks{}, err
	}
	err = each(ctx, db, `SELECT hash, last_day, held_at, reason, operator FROM holds`+where, args, func(rows *sql.Rows) (err error) {
		var h domain.Hold
		var hash []byte
		var day string
		var held int64
		if err := rows.Scan(&hash, &day, &held, &h.Reason, &h.Operator); err != nil {
			return err
		}
		h.Hash, h.HeldAt = [sha256.Size]byte(hash), time.UnixMicro(held).UTC()
		h.LastDay, err = time.Parse(time.DateOnly, day)
		marks.Holds = append(marks.Holds, h)
		return err
	})
	return marks, err
}

// each calls scan for each row of a query.
func each(ctx context.Context, db querier, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
