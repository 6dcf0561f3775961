package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// SchemaTable is the table in which a database records the migrations that were applied to it.
const SchemaTable = "clientele_schema"

// SchemaError means that the schema of the database is not the one that this program needs.
type SchemaError struct {
	Have, Want int64
}

func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("the database has schema version %d, newer than this program's %d", e.Have, e.Want)
	}
	return fmt.Sprintf("the database has schema version %d, this program needs %d", e.Have, e.Want)
}

// CheckSchema returns a *SchemaError unless the database has the version that this program needs.
func CheckSchema(have, want int64) error {
	if have != want {
		return &SchemaError{Have: have, Want: want}
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
	provider, err := goose.NewProvider(dialect, db, migrations,
		goose.WithTableName(SchemaTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
