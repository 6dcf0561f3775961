package sqlite

import (
	"context"
	"errors"
	"fmt"

	"clientele/domain"

	"github.com/google/uuid"
)

// Erase implements store.Store. It overwrites the client in the database with zeros and empties the write-ahead log. The blocks
// that the log returns to the file system are not overwritten.
func (s *Store) Erase(ctx context.Context, id uuid.UUID, tombstone domain.Erasure) (existed bool, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	existed, err = s.erase(ctx, id, tombstone)
	if err != nil {
		return false, fmt.Errorf("erase a client: %w", err)
	}
	// The write-ahead log still has the old pages.
	var busy, frames, moved int
	if err := s.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil || busy != 0 {
		return existed, errors.Join(errors.New("the client is erased from the database, but not from its write-ahead log, because readers are busy: erase it again"), err)
	}
	return existed, nil
}

func (s *Store) erase(ctx context.Context, id uuid.UUID, tombstone domain.Erasure) (existed bool, err error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // does nothing after the commit
	marks, err := readMarks(ctx, tx, tombstone.Hash)
	if err != nil {
		return false, err
	}
	if err := marks.Refuse(tombstone.ErasedAt); err != nil {
		return false, err
	}
	done, err := tx.ExecContext(ctx, `DELETE FROM clients WHERE id = ?`, id.String())
	if err != nil {
		return false, err
	}
	deleted, err := done.RowsAffected()
	if err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM rejections WHERE id = ?`, id.String()); err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, insertErasure, erasureValues(tombstone)...); err != nil {
		return false, err
	}
	return deleted > 0, tx.Commit()
}
