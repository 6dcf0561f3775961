package postgres

import (
	"context"
	"crypto/sha256"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Hold implements store.Store.
func (s *Store) Hold(ctx context.Context, hold domain.Hold) error {
	err := s.withoutWriters(ctx, func(tx pgx.Tx) error {
		marks, err := readMarks(ctx, tx, hold.Hash)
		if err != nil {
			return err
		}
		if len(marks.Erasures) > 0 {
			return domain.Errorf(domain.CodeErased, "the client was erased")
		}
		if _, err := tx.Exec(ctx, `DELETE FROM holds WHERE hash = $1`, hold.Hash[:]); err != nil {
			return err
		}
		return insertHold(ctx, tx, hold)
	})
	if err != nil {
		return s.failure("hold a client", err)
	}
	return nil
}

// Release implements store.Store.
func (s *Store) Release(ctx context.Context, id uuid.UUID) (held bool, err error) {
	hash := domain.ErasureHash(id)
	deleted, err := s.pool.Exec(ctx, `DELETE FROM holds WHERE hash = $1`, hash[:])
	if err != nil {
		return false, s.failure("release a client", err)
	}
	return deleted.RowsAffected() > 0, nil
}

// Marks implements store.Store.
func (s *Store) Marks(ctx context.Context, ids ...uuid.UUID) (store.Marks, error) {
	hashes := make([][sha256.Size]byte, len(ids))
	for i, id := range ids {
		hashes[i] = domain.ErasureHash(id)
	}
	marks, err := readMarks(ctx, s.pool, hashes...)
	if err != nil {
		return store.Marks{}, s.failure("read tombstones and holds", err)
	}
	return marks, nil
}

// withoutWriters runs f in a transaction that waits for inserts and erasures in progress and holds up new ones. An insert that
// began before a tombstone existed could otherwise store the client after it was deleted. Readers do not wait.
func (s *Store) withoutWriters(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE clients IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		return f(tx)
	})
}

func insertErasure(ctx context.Context, tx pgx.Tx, e domain.Erasure) error {
	_, err := tx.Exec(ctx, `INSERT INTO erasures (hash, erased_at, reason, operator) VALUES ($1, $2, $3, $4)
		ON CONFLICT (hash) DO NOTHING`, e.Hash[:], e.ErasedAt, e.Reason, e.Operator)
	return err
}

func insertHold(ctx context.Context, tx pgx.Tx, h domain.Hold) error {
	_, err := tx.Exec(ctx, `INSERT INTO holds (hash, last_day, held_at, reason, operator) VALUES ($1, $2, $3, $4, $5)`,
		h.Hash[:], h.LastDay, h.HeldAt, h.Reason, h.Operator)
	return err
}

func insertMarks(ctx context.Context, tx pgx.Tx, marks store.Marks) error {
	for _, e := range marks.Erasures {
		if err := insertErasure(ctx, tx, e); err != nil {
			return err
		}
	}
	for _, h := range marks.Holds {
		if err := insertHold(ctx, tx, h); err != nil {
			return err
		}
	}
	return nil
}

// readMarks returns the marks with these hashes, or without hashes all of them.
func readMarks(ctx context.Context, db querier, hashes ...[sha256.Size]byte) (marks store.Marks, err error) {
	where, args := ``, []any(nil)
	if len(hashes) > 0 {
		values := make(pgtype.FlatArray[[]byte], len(hashes))
		for i := range hashes {
			values[i] = hashes[i][:]
		}
		where, args = ` WHERE hash = ANY ($1)`, []any{values}
	}
	// CollectRows also returns the error of Query.
	rows, _ := db.Query(ctx, `SELECT hash, erased_at, reason, operator FROM erasures`+where+` ORDER BY hash`, args...)
	marks.Erasures, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e domain.Erasure, err error) {
		var hash []byte
		err = row.Scan(&hash, &e.ErasedAt, &e.Reason, &e.Operator)
		e.Hash, e.ErasedAt = [sha256.Size]byte(hash), e.ErasedAt.UTC()
		return e, err
	})
	if err != nil {
		return store.Marks{}, err
	}
	rows, _ = db.Query(ctx, `SELECT hash, last_day, held_at, reason, operator FROM holds`+where+` ORDER BY hash`, args...)
	marks.Holds, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (h domain.Hold, err error) {
		var hash []byte
		err = row.Scan(&hash, &h.LastDay, &h.HeldAt, &h.Reason, &h.Operator)
		h.Hash, h.HeldAt = [sha256.Size]byte(hash), h.HeldAt.UTC()
		return h, err
	})
	return marks, err
}
