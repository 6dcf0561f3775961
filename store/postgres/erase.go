package postgres

import (
	"context"
	"crypto/sha256"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Erase implements store.Store. PostgreSQL keeps the row until VACUUM, and in its write-ahead log. See SECURITY.md.
//
// The lock waits for inserts in progress and holds up new ones: an insert that began before the tombstone existed could otherwise
// store the client after it was deleted. Readers do not wait.
func (s *Store) Erase(ctx context.Context, id uuid.UUID, tombstone domain.Erasure) (existed bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE clients IN SHARE ROW EXCLUSIVE MODE`); err != nil {
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

func insertErasure(ctx context.Context, tx pgx.Tx, e domain.Erasure) error {
	_, err := tx.Exec(ctx, `INSERT INTO erasures (hash, erased_at, reason, operator) VALUES ($1, $2, $3, $4)
		ON CONFLICT (hash) DO NOTHING`, e.Hash[:], e.ErasedAt, e.Reason, e.Operator)
	return err
}

func readErasures(ctx context.Context, tx pgx.Tx) ([]domain.Erasure, error) {
	// CollectRows also returns the error of Query.
	rows, _ := tx.Query(ctx, `SELECT hash, erased_at, reason, operator FROM erasures ORDER BY hash`)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e domain.Erasure, err error) {
		var hash []byte
		err = row.Scan(&hash, &e.ErasedAt, &e.Reason, &e.Operator)
		e.Hash, e.ErasedAt = [sha256.Size]byte(hash), e.ErasedAt.UTC()
		return e, err
	})
}
