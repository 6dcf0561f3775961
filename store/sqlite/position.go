package sqlite

import (
	"context"
	"fmt"

	"clientele/domain"

	"github.com/google/uuid"
)

// server identifies the database. A file has no replica that could take its place: only its position can go back.
const server = "sqlite"

// Position implements store.Store.
func (s *Store) Position(ctx context.Context) (p domain.Position, now string, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	var place string
	err = s.readers.QueryRowContext(ctx, `SELECT stream, sequence, server FROM redo_position`).Scan(&p.Stream, &p.Sequence, &place)
	if err != nil {
		return domain.Position{}, "", fmt.Errorf("read the position: %w", err)
	}
	p.SetPlace(place)
	return p, server, nil
}

// SetPosition implements store.Store.
func (s *Store) SetPosition(ctx context.Context, p domain.Position) (bool, error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	_, err := s.writer.ExecContext(ctx, `UPDATE redo_position SET stream = ?, sequence = ?, server = ?`, p.Stream, p.Sequence, p.Place())
	if err != nil {
		return false, fmt.Errorf("store the position: %w", err)
	}
	return true, nil
}

// Free implements store.Store.
func (s *Store) Free(ctx context.Context, ids []uuid.UUID) (free []uuid.UUID, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	tx, err := s.readers.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("look for free ids: %w", err)
	}
	defer tx.Rollback()
	query, err := tx.PrepareContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM clients WHERE id = ?) AND NOT EXISTS (SELECT 1 FROM erasures WHERE hash = ?)`)
	if err != nil {
		return nil, fmt.Errorf("look for free ids: %w", err)
	}
	defer query.Close()
	for _, id := range ids {
		var isFree bool
		hash := domain.ErasureHash(id)
		if err := query.QueryRowContext(ctx, id.String(), hash[:]).Scan(&isFree); err != nil {
			return nil, fmt.Errorf("look for free ids: %w", err)
		}
		if isFree {
			free = append(free, id)
		}
	}
	return free, nil
}
