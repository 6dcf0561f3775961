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

// schemaVersion is that of the newest file in migrations.
const schemaVersion = 1

// Ready returns nil when the database can be read and has the schema of this program, a SchemaError when it has
// another.
func (s *Store) Ready(ctx context.Context) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	have, err := s.schema(ctx)
	if err != nil {
		return err
	}
	return store.CheckSchema(have, schemaVersion)
}

// Migrate brings the schema to this program's version, one migration a transaction.
func (s *Store) Migrate(ctx context.Context) (from, to int64, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	from, err = s.schema(ctx)
	if err != nil {
		return 0, 0, err
	}
	for to = from; to < schemaVersion; {
		// SQLite has no lock to hold over several transactions. If another program is migrating too, one of the two fails
		// at what the other has just done, and goes on from there.
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

// schema returns the version of the database's schema, 0 if it has none.
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
