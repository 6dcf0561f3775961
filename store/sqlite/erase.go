package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	if err := s.emptyLog(ctx); err != nil { // it still has the old pages
		return existed, fmt.Errorf("the client is erased from the database, but not from its write-ahead log: erase it again: %w", err)
	}
	return existed, nil
}

const (
	// logPatience is how long the write-ahead log may be in use while it is emptied. SQLite waits as long for readers.
	logPatience = 5 * time.Second
	// logPause is the pause before it is tried again. SQLite does not wait for another connection that moves the pages of the log.
	logPause = 10 * time.Millisecond
)

// emptyLog moves all pages of the write-ahead log into the database, and truncates the log.
func (s *Store) emptyLog(ctx context.Context) error {
	for began := time.Now(); ; {
		var busy, frames, moved int
		if err := s.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil || busy == 0 {
			return err
		}
		if time.Since(began) > logPatience {
			return errors.New("the log is in use")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(logPause):
		}
	}
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
