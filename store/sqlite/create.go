package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"clientele/domain"
)

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	s.calls.RLock()
	defer s.calls.RUnlock()
	results, err := s.create(ctx, clients)
	if err != nil {
		return nil, failure(fmt.Sprintf("insert batch of %d", len(clients)), err)
	}
	return results, nil
}

func (s *Store) create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // does nothing after the commit
	insert, err := tx.PrepareContext(ctx, insertClient)
	if err != nil {
		return nil, err
	}
	defer insert.Close()
	results := make([]domain.CreateResult, len(clients))
	for i := range clients {
		c := &clients[i]
		done, err := insert.ExecContext(ctx, values(c)...)
		if err != nil {
			return nil, err
		}
		inserted, err := done.RowsAffected()
		if err != nil {
			return nil, err
		}
		if inserted > 0 {
			results[i] = domain.CreateResult{Outcome: domain.Created, Client: *c}
			continue
		}
		existing, err := scan(tx.QueryRowContext(ctx, selectClient, c.ID.String()))
		if errors.Is(err, sql.ErrNoRows) {
			results[i] = domain.CreateResult{Outcome: domain.Erased}
			continue
		}
		if err != nil {
			return nil, err
		}
		results[i] = domain.CreateResult{Outcome: domain.Conflict, Client: existing}
		if existing.Fingerprint == c.Fingerprint {
			results[i].Outcome = domain.Replayed
		}
	}
	return results, tx.Commit()
}
