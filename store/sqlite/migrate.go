package sqlite

import (
	"context"
	"embed"
	"fmt"

	"clientele/store"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaVersion is the version of the newest file in migrations.
const schemaVersion = 5

// Ready implements store.Store.
func (s *Store) Ready(ctx context.Context) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	have, err := s.schema(ctx)
	if err != nil {
		return err
	}
	return store.CheckSchema(have, schemaVersion)
}

// Writable implements store.Store. A database that this program can open, it can write.
func (s *Store) Writable(ctx context.Context) error { return s.Ready(ctx) }

// Migrate implements store.Store. Each migration runs in its own transaction.
func (s *Store) Migrate(ctx context.Context) (from, to int64, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	from, err = s.schema(ctx)
	if err != nil {
		return 0, 0, err
	}
	for to = from; to < schemaVersion; {
		// SQLite has no lock that spans several transactions. If two programs migrate at once, one of them fails at a migration
		// that the other has just applied, and continues with the next.
		upErr := store.ApplyMigrations(ctx, goose.DialectSQLite3, s.writer, migrations)
		have, err := s.schema(ctx)
		if err != nil {
			return from, to, err
		}
		if upErr != nil && have == to {
			return from, to, fmt.Errorf("migrate the schema: %w", upErr)
		}
		to = have
	}
	return from, to, store.CheckSchema(to, schemaVersion)
}

// schema returns the version of the database's schema, or 0 if it has none.
func (s *Store) schema(ctx context.Context) (int64, error) {
	var exists bool
	var version int64
	err := s.readers.QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '`+store.SchemaTable+`')`).Scan(&exists)
	if err == nil && exists {
		err = s.readers.QueryRowContext(ctx,
			`SELECT coalesce(max(version_id), 0) FROM `+store.SchemaTable+` WHERE is_applied`).Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, nil
}
