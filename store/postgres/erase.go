package postgres

import (
	"context"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Erase implements store.Store. PostgreSQL keeps the row until VACUUM, and in its write-ahead log. See SECURITY.md.
func (s *Store) Erase(ctx context.Context, id uuid.UUID, tombstone domain.Erasure) (existed bool, err error) {
	err = s.withoutWriters(ctx, func(tx pgx.Tx) error {
		marks, err := readMarks(ctx, tx, tombstone.Hash)
		if err != nil {
			return err
		}
		if err := marks.Refuse(tombstone.ErasedAt); err != nil {
			return err
		}
		deleted, err := tx.Exec(ctx, `DELETE FROM clients WHERE id = $1`, [16]byte(id))
		if err != nil {
			return err
		}
		existed = deleted.RowsAffected() > 0
		return insertErasure(ctx, tx, tombstone)
	})
	if err != nil {
		return false, s.failure("erase a client", err)
	}
	return existed, nil
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
