package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"clientele/domain"
	"clientele/store"

	"github.com/jackc/pgx/v5"
)

// Export implements store.Archiver. It streams the rows of the clients.
func (s *Store) Export(ctx context.Context, yield func(domain.Client) error) (store.Marks, error) {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return store.Marks{}, s.failure("read all clients", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	marks, err := readMarks(ctx, tx)
	if err != nil {
		return store.Marks{}, s.failure("read all tombstones and holds", err)
	}
	rows, err := tx.Query(ctx, `SELECT `+store.Columns+` FROM clients ORDER BY id`)
	if err != nil {
		return store.Marks{}, s.failure("read all clients", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return store.Marks{}, s.failure("read all clients", err)
		}
		if err := yield(c); err != nil {
			return store.Marks{}, err
		}
	}
	if err := rows.Err(); err != nil {
		return store.Marks{}, s.failure("read all clients", err)
	}
	return marks, nil
}

// loadBatch is the number of clients that one statement of Load inserts.
const loadBatch = 1000

// Load implements store.Archiver. It locks the tables against writers, but not against readers.
func (s *Store) Load(ctx context.Context, clients iter.Seq2[domain.Client, error], marks store.Marks) (n int, err error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return 0, s.failure("load clients", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after the commit
	if _, err := tx.Exec(ctx, `LOCK TABLE clients, erasures, holds IN EXCLUSIVE MODE`); err != nil {
		return 0, s.failure("load clients", err)
	}
	var used bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM clients) OR EXISTS (SELECT FROM erasures) OR EXISTS (SELECT FROM holds)`).Scan(&used); err != nil {
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
	if err := insertMarks(ctx, tx, marks); err != nil {
		return 0, s.failure("load tombstones and holds", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, s.failure("load clients", err)
	}
	return n, nil
}
