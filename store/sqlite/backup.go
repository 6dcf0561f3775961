package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"clientele/domain"
	"clientele/store"
)

// Export implements store.Archiver. A read transaction reads one snapshot.
func (s *Store) Export(ctx context.Context, yield func(domain.Client) error) (store.Marks, error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	tx, err := s.readers.BeginTx(ctx, nil)
	if err != nil {
		return store.Marks{}, fmt.Errorf("read all clients: %w", err)
	}
	defer tx.Rollback()
	marks, err := readMarks(ctx, tx)
	if err != nil {
		return store.Marks{}, fmt.Errorf("read all tombstones and holds: %w", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+store.Columns+` FROM clients ORDER BY id`) //nolint:gosec // the columns are a constant
	if err != nil {
		return store.Marks{}, fmt.Errorf("read all clients: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return store.Marks{}, fmt.Errorf("read all clients: %w", err)
		}
		if err := yield(c); err != nil {
			return store.Marks{}, err
		}
	}
	if err := rows.Err(); err != nil {
		return store.Marks{}, fmt.Errorf("read all clients: %w", err)
	}
	return marks, nil
}

// Load implements store.Archiver. Other writers wait until it returns.
func (s *Store) Load(ctx context.Context, clients iter.Seq2[domain.Client, error], marks store.Marks) (n int, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return 0, failure("load clients", err)
	}
	defer tx.Rollback() // does nothing after the commit
	var used bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM clients) OR EXISTS (SELECT 1 FROM erasures) OR EXISTS (SELECT 1 FROM holds)`).Scan(&used); err != nil {
		return 0, failure("load clients", err)
	}
	if used {
		return 0, store.ErrNotEmpty
	}
	insert, err := tx.PrepareContext(ctx, insertClient) //nolint:sqlclosecheck // it is closed below, the loop confuses the check
	if err != nil {
		return 0, failure("load clients", err)
	}
	defer insert.Close()
	for c, err := range clients {
		if err != nil {
			return 0, err
		}
		done, err := insert.ExecContext(ctx, values(&c)...)
		if err != nil {
			return 0, failure("load clients", cause(ctx, err))
		}
		if inserted, err := done.RowsAffected(); err != nil || inserted != 1 {
			return 0, errors.Join(errors.New("load clients: an id occurs twice"), err)
		}
		n++
	}
	if err := insertMarks(ctx, tx, marks); err != nil {
		return 0, failure("load tombstones and holds", cause(ctx, err))
	}
	if err := tx.Commit(); err != nil {
		return 0, failure("load clients", cause(ctx, err))
	}
	return n, nil
}

// cause returns the error of the context if it has ended: database/sql then closes the transaction and reports only that.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
