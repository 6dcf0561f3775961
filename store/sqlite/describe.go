package sqlite

import (
	"context"
	"fmt"

	"clientele/store"
)

// Describe implements store.Store. A SQLite file has no clock and no roles, and every connection of this program syncs its commits.
func (s *Store) Describe(ctx context.Context) (store.Description, error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	d := store.Description{Product: "SQLite", Program: schemaVersion}
	if err := s.readers.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&d.Version); err != nil {
		return store.Description{}, fmt.Errorf("describe the database: %w", err)
	}
	var err error
	d.Schema, err = s.schema(ctx)
	return d, err
}
