package postgres

import (
	"context"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Erase implements store.Store. PostgreSQL keeps the bytes of the row in its files until deploy/postgres/after-erasure.sql removes them.
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
		if _, err := tx.Exec(ctx, `DELETE FROM rejections WHERE id = $1`, [16]byte(id)); err != nil {
			return err
		}
		return insertErasure(ctx, tx, tombstone)
	})
	if err != nil {
		return false, s.failure("erase a client", err)
	}
	return existed, nil
}
