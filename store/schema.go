package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// The tables in which a database records its migrations.
const (
	// SchemaTable has the migrations of version 0.1. Its newest version is the oldest schema whose programs may use the database. A
	// later migration that older programs cannot work with adds its own version to it.
	SchemaTable = "clientele_schema"
	// MigrationsTable has the later migrations. Most only add what older programs can ignore.
	MigrationsTable = "clientele_migrations"
)

// firstRelease is the newest migration of version 0.1, which accepts exactly this version in SchemaTable.
const firstRelease = 2

// Schema is the state of a database.
type Schema struct {
	// Version is the newest migration that was applied, or 0 if there is none.
	Version int64
	// Oldest is the version of the oldest programs that may use the database.
	Oldest int64
}

// SchemaOf returns the state of a database. newest returns the newest version in a table, or 0 if there is none.
func SchemaOf(newest func(table string) (int64, error)) (Schema, error) {
	oldest, err := newest(SchemaTable)
	if err != nil {
		return Schema{}, fmt.Errorf("read the schema's version: %w", err)
	}
	version, err := newest(MigrationsTable)
	if err != nil {
		return Schema{}, fmt.Errorf("read the schema's version: %w", err)
	}
	return Schema{Version: max(version, oldest), Oldest: oldest}, nil
}

// SchemaError means that this program cannot use the database: its schema is too old, or too new to be compatible.
type SchemaError struct {
	Have, Want int64
}

func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("the database has schema version %d, newer than this program's %d", e.Have, e.Want)
	}
	return fmt.Sprintf("the database has schema version %d, this program needs %d", e.Have, e.Want)
}

// Check returns a *SchemaError if a program of this version cannot use the database.
func (s Schema) Check(program int64) error {
	if s.Version < program || s.Oldest > program {
		return &SchemaError{Have: s.Version, Want: program}
	}
	return nil
}

// ApplyMigrations applies the SQL files in the directory migrations that the database does not have yet. Each file runs in its
// own transaction.
func ApplyMigrations(ctx context.Context, dialect goose.Dialect, db *sql.DB, files fs.FS) error {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return err
	}
	first, err := goose.NewProvider(dialect, db, migrations, goose.WithTableName(SchemaTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := first.UpTo(ctx, firstRelease); err != nil {
		return err
	}
	later, err := goose.NewProvider(dialect, db, migrations, goose.WithTableName(MigrationsTable), goose.WithDisableGlobalRegistry(true),
		goose.WithExcludeVersions([]int64{1, firstRelease}))
	if err != nil {
		return err
	}
	_, err = later.Up(ctx)
	return err
}
