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
const schemaVersion = 7

// Ready implements store.Store.
func (s *Store) Ready(ctx context.Context) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	have, err := s.schema(ctx)
	if err != nil {
		return err
	}
	return have.Check(schemaVersion)
}

// Writable implements store.Store. A database that this program can open, it can write.
func (s *Store) Writable(ctx context.Context) error { return s.Ready(ctx) }

// Migrate implements store.Store. Each migration runs in its own transaction.
func (s *Store) Migrate(ctx context.Context) (from, to int64, err error) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	now, err := s.schema(ctx)
	if err != nil {
		return 0, 0, err
	}
	from = now.Version
	for now.Version < schemaVersion {
		// SQLite has no lock that spans several transactions. If two programs migrate at once, one of them fails at a migration
		// that the other has just applied, and continues with the next.
		upErr := store.ApplyMigrations(ctx, goose.DialectSQLite3, s.writer, migrations)
		have, err := s.schema(ctx)
		if err != nil {
			return from, now.Version, err
		}
		if upErr != nil && have.Version == now.Version {
			return from, now.Version, fmt.Errorf("migrate the schema: %w", upErr)
		}
		now = have
	}
	return from, now.Version, now.Check(schemaVersion)
}

// schema returns the state of the database.
func (s *Store) schema(ctx context.Context) (store.Schema, error) {
	return store.SchemaOf(func(table string) (version int64, err error) {
		var exists bool
		err = s.readers.QueryRowContext(ctx,
			`SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)`, table).Scan(&exists)
		if err != nil || !exists {
			return 0, err
		}
		err = s.readers.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+table+` WHERE is_applied`).Scan(&version)
		return version, err
	})
}
