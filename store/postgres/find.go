package postgres

import (
	"bytes"
	"context"
	"slices"

	"clientele/domain"
	"clientele/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Find implements store.Store.
func (s *Store) Find(ctx context.Context, q store.Query, n int) ([]domain.Client, int, error) {
	ids, err := s.matching(ctx, q)
	if err != nil {
		return nil, 0, s.failure("find clients", err)
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	// CollectRows also returns the error of Query.
	rows, _ := s.pool.Query(ctx, `SELECT `+store.Columns+` FROM clients WHERE id = ANY ($1) ORDER BY id`,
		pgtype.FlatArray[[16]byte](ids[:min(n, len(ids))]))
	clients, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.Client, error) { return scan(row) })
	if err != nil {
		return nil, 0, s.failure("read the clients that were found", err)
	}
	return clients, len(ids), nil
}

// matching returns the ids of the clients that match.
func (s *Store) matching(ctx context.Context, q store.Query) (ids [][16]byte, err error) {
	// ForEachRow also returns the error of Query.
	rows, _ := s.pool.Query(ctx, `SELECT id, email_address, first_name, coalesce(middle_name, ''), last_name FROM clients`)
	var id [16]byte
	var names store.Names
	matches := q.Matcher()
	_, err = pgx.ForEachRow(rows, []any{&id, &names.Email, &names.First, &names.Middle, &names.Last}, func() error {
		if matches(names) {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}
