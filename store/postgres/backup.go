package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"clientele/domain"
	"clientele/store"
)

// Export implements store.Archiver. One statement reads one snapshot; Export streams its rows.
func (s *Store) Export(ctx context.Context, yield func(domain.Client) error) error {
	rows, err := s.pool.Query(ctx, `SELECT `+store.Columns+` FROM clients ORDER BY id`)
	if err != nil {
		return s.failure("read all clients", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return s.failure("read all clients", err)
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.failure("read all clients", err)
	}
	return nil
}

// loadBatch is the number of clients that one statement of Load inserts.
const loadBatch = 1000

// Load implements store.Archiver. It locks the table against writers, but not against readers.
func (s *Store) Load(ctx context.Context, clients iter.Seq2[domain.Client, error]) (n int, err error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return 0, s.failure("load clients", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after the commit
	if _, err := tx.Exec(ctx, `LOCK TABLE clients IN EXCLUSIVE MODE`); err != nil {
		return 0, s.failure("load clients", err)
	}
	var used bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM clients)`).Scan(&used); err != nil {
		return 0, s.failure("load clients", err)
	}
	if used {
		return 0, store.ErrNotEmpty
	}
	rows := make([]*domain.Client, 0, loadBatch)
	flush := func() error {
		inserted, err := insert(ctx, tx, rows)
		if err != nil {
			return s.failure(fmt.Sprintf("load batch of %d", len(rows)), err)
		}
		if len(inserted) != len(rows) {
			return errors.New("load clients: an id occurs twice")
		}
		n += len(rows)
		rows = rows[:0]
		return nil
	}
	for c, err := range clients {
		if err != nil {
			return 0, err
		}
		if rows = append(rows, &c); len(rows) == loadBatch {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	if err := flush(); err != nil {
		return 0, err
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, s.failure("load clients", err)
	}
	return n, nil
}
