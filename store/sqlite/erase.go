package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

const insertErasure = `INSERT INTO erasures (hash, erased_at, reason, operator) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`

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
	done, err := tx.ExecContext(ctx, `DELETE FROM clients WHERE id = ?`, id.String())
	if err != nil {
		return false, err
	}
	deleted, err := done.RowsAffected()
	if err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, insertErasure, erasureValues(tombstone)...); err != nil {
		return false, err
	}
	return deleted > 0, tx.Commit()
}

func erasureValues(e domain.Erasure) []any {
	return []any{e.Hash[:], e.ErasedAt.UnixMicro(), e.Reason, e.Operator}
}

func readErasures(ctx context.Context, tx *sql.Tx) (erasures []domain.Erasure, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT hash, erased_at, reason, operator FROM erasures ORDER BY hash`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e domain.Erasure
		var hash []byte
		var erased int64
		if err := rows.Scan(&hash, &erased, &e.Reason, &e.Operator); err != nil {
			return nil, err
		}
		e.Hash, e.ErasedAt = [sha256.Size]byte(hash), time.UnixMicro(erased).UTC()
		erasures = append(erasures, e)
	}
	return erasures, rows.Err()
}
