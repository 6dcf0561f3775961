package postgres

import (
	"context"
	"errors"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Get returns the client with this id, or an error with domain.CodeNotFound.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (domain.Client, error) {
	c, err := scan(s.pool.QueryRow(ctx, `SELECT `+store.Columns+` FROM clients WHERE id = $1`, [16]byte(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Client{}, domain.Errorf(domain.CodeNotFound, "no client has this id")
	}
	if err != nil {
		return domain.Client{}, s.failure("get a client", err)
	}
	return c, nil
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, from, to time.Time) (n int, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM clients WHERE created_at >= $1 AND created_at < $2`, from, to).Scan(&n)
	if err != nil {
		return 0, s.failure("count clients", err)
	}
	return n, nil
}

// Page implements store.Store.
func (s *Store) Page(ctx context.Context, from, to time.Time, after uuid.UUID, n int) ([]domain.Client, error) {
	// CollectRows also returns the error of Query.
	rows, _ := s.pool.Query(ctx, `SELECT `+store.Columns+` FROM clients WHERE id > $1 AND created_at >= $2 AND created_at < $3 ORDER BY id LIMIT $4`,
		[16]byte(after), from, to, n)
	clients, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.Client, error) { return scan(row) })
	if err != nil {
		return nil, s.failure("read clients", err)
	}
	return clients, nil
}
