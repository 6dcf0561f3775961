package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Get returns the client with this id, or an error with domain.CodeNotFound.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (domain.Client, error) {
	c, err := scan(s.pool.QueryRow(ctx, selectClient, [16]byte(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Client{}, domain.Errorf(domain.CodeNotFound, "no client has this id")
	}
	if err != nil {
		return domain.Client{}, s.failure("get a client", err)
	}
	return c, nil
}

// GetAll implements store.Store.
func (s *Store) GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	found := make(map[uuid.UUID]domain.Client, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	plain := make([][16]byte, len(ids))
	for i, id := range ids {
		plain[i] = id
	}
	clients, err := s.all(ctx, plain)
	if err != nil {
		return nil, s.failure(fmt.Sprintf("get %d clients", len(ids)), err)
	}
	for _, c := range clients {
		found[c.ID] = c
	}
	return found, nil
}

const selectClient = `SELECT ` + store.Columns + ` FROM clients WHERE id = $1`

// all returns the clients with these ids. It sends a query for each in one round trip: each uses the index, by a plan that PostgreSQL keeps.
// With id = ANY ($1) it may plan to read the whole table while that has few rows, and keep that plan until it next analyses the table. For
// a join with the ids it plans again each time.
func (s *Store) all(ctx context.Context, ids [][16]byte) ([]domain.Client, error) {
	clients := make([]domain.Client, 0, len(ids))
	var queries pgx.Batch
	for _, id := range ids {
		queries.Queue(selectClient, id).QueryRow(func(row pgx.Row) error {
			c, err := scan(row)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			clients = append(clients, c)
			return err
		})
	}
	return clients, s.pool.SendBatch(ctx, &queries).Close()
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
