package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"clientele/domain"
	"clientele/store"
)

// Find implements store.Store.
func (s *Store) Find(ctx context.Context, q store.Query, n int) ([]domain.Client, int, error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	ids, err := s.matching(ctx, q)
	if err != nil {
		return nil, 0, fmt.Errorf("find clients: %w", err)
	}
	slices.Sort(ids)
	var clients []domain.Client
	for _, id := range ids[:min(n, len(ids))] {
		c, err := scan(s.readers.QueryRowContext(ctx, selectClient, id))
		if errors.Is(err, sql.ErrNoRows) {
			continue // erased since
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read the clients that were found: %w", err)
		}
		clients = append(clients, c)
	}
	return clients, len(ids), nil
}

// matching returns the ids of the clients that match.
func (s *Store) matching(ctx context.Context, q store.Query) (ids []string, err error) {
	rows, err := s.readers.QueryContext(ctx,
		`SELECT id, email_address, first_name, coalesce(middle_name, ''), last_name FROM clients`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var id string
	var names store.Names
	matches := q.Matcher()
	for rows.Next() {
		if err := rows.Scan(&id, &names.Email, &names.First, &names.Middle, &names.Last); err != nil {
			return nil, err
		}
		if matches(names) {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}
