package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

// Get returns the client with this id, or an error with domain.CodeNotFound.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (domain.Client, error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	c, err := scan(s.readers.QueryRowContext(ctx, selectClient, id.String()))
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Client{}, domain.Errorf(domain.CodeNotFound, "no client has this id")
	}
	if err != nil {
		return domain.Client{}, fmt.Errorf("get a client: %w", err)
	}
	return c, nil
}

// GetAll implements store.Store.
func (s *Store) GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	found := make(map[uuid.UUID]domain.Client, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	s.calls.RLock()
	defer s.calls.RUnlock()
	values := make([]any, len(ids))
	for i, id := range ids {
		values[i] = id.String()
	}
	query := `SELECT ` + store.Columns + ` FROM clients WHERE id IN (?` + strings.Repeat(`, ?`, len(ids)-1) + `)`
	err := each(ctx, s.readers, query, values, func(rows *sql.Rows) error {
		c, err := scan(rows)
		found[c.ID] = c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get %d clients: %w", len(ids), err)
	}
	return found, nil
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, from, to time.Time) (n int, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	err = s.readers.QueryRowContext(ctx, `SELECT count(*) FROM clients WHERE created_at >= ? AND created_at < ?`,
		from.UnixMicro(), to.UnixMicro()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count clients: %w", err)
	}
	return n, nil
}

// Page implements store.Store.
func (s *Store) Page(ctx context.Context, from, to time.Time, after uuid.UUID, n int) (clients []domain.Client, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	//nolint:gosec // the columns are a constant
	rows, err := s.readers.QueryContext(ctx, `SELECT `+store.Columns+` FROM clients
		WHERE id > ? AND created_at >= ? AND created_at < ? ORDER BY id LIMIT ?`, after.String(), from.UnixMicro(), to.UnixMicro(), n)
	if err != nil {
		return nil, fmt.Errorf("read clients: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read clients: %w", err)
		}
		clients = append(clients, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read clients: %w", err)
	}
	return clients, nil
}
