package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"clientele/store"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

const (
	// schemaVersion is that of the newest file in migrations.
	schemaVersion = 1
	// schemaTable is where goose notes which migrations were applied.
	schemaTable = "clientele_schema"
)

// Ready returns nil when the database can be read and has the schema of this program, a SchemaError when it has
// another.
func (s *Store) Ready(ctx context.Context) error {
	s.calls.RLock()
	defer s.calls.RUnlock()
	have, err := s.schema(ctx)
	if err != nil {
		return err
	}
	if have != schemaVersion {
		return &store.SchemaError{Have: have, Want: schemaVersion}
	}
	return nil
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
		upErr := s.up(ctx)
		have, err := s.schema(ctx)
		if err != nil {
			return from, to, err
		}
		if upErr != nil && have == to {
			return from, to, fmt.Errorf("migrate the schema: %w", upErr)
		}
		to = have
	}
	if to > schemaVersion {
		return from, to, &store.SchemaError{Have: to, Want: schemaVersion}
	}
	return from, to, nil
}

func (s *Store) up(ctx context.Context) error {
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.writer, migrations,
		goose.WithTableName(schemaTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// schema returns the version of the database's schema, 0 if it has none.
func (s *Store) schema(ctx context.Context) (int64, error) {
	var exists bool
	var version int64
	err := s.readers.QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '`+schemaTable+`')`).Scan(&exists)
	if err == nil && exists {
		err = s.readers.QueryRowContext(ctx,
			`SELECT coalesce(max(version_id), 0) FROM `+schemaTable+` WHERE is_applied`).Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, nil
}
