package postgres

import (
	"context"
	"embed"
	"time"

	"clientele/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// schemaVersion is the version of the newest file in migrations.
	schemaVersion = 7
	// migrationLock is the key of the advisory lock that a migration holds. The number is arbitrary, but must not change.
	migrationLock = 0x636c69656e74656c
	// unlockTimeout bounds the wait for an unreachable server at the end of a migration.
	unlockTimeout = 5 * time.Second
)

// Ready implements store.Store.
func (s *Store) Ready(ctx context.Context) error {
	have, err := s.schema(ctx)
	if err != nil {
		return err
	}
	return have.Check(schemaVersion)
}

// Writable implements store.Store. An INSERT would show the same, but wait for a lock on the table.
func (s *Store) Writable(ctx context.Context) error {
	if err := s.Ready(ctx); err != nil {
		return err
	}
	var may bool
	for _, table := range []string{"clients", "rejections"} {
		if err := s.pool.QueryRow(ctx, `SELECT has_table_privilege($1, 'INSERT')`, table).Scan(&may); err != nil {
			return s.failure("look up the right to store clients", err)
		}
		if !may { // what an INSERT would return
			return &pgconn.PgError{Severity: "ERROR", Code: insufficientPrivilege, Message: "permission denied for table " + table}
		}
	}
	return nil
}

// Migrate implements store.Store. Each migration runs in its own transaction. Concurrent calls wait for each other.
func (s *Store) Migrate(ctx context.Context) (from, to int64, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, 0, s.failure("lock the schema", err)
	}
	defer unlock()
	before, err := s.schema(ctx)
	if err != nil {
		return 0, 0, err
	}
	if before.Version >= schemaVersion {
		return before.Version, before.Version, before.Check(schemaVersion)
	}
	if err := s.up(ctx); err != nil {
		return before.Version, before.Version, s.failure("migrate the schema", err)
	}
	after, err := s.schema(ctx)
	return before.Version, after.Version, err
}

// lock waits for the migration lock. It covers everything that goose does, whereas goose's own lock does not cover the creation
// of its table. The lock has its own connection outside the pool: with a pool of one, goose would have no connection.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	unlock = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		_ = conn.Close(ctx) // a lost connection holds no lock either
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

func (s *Store) up(ctx context.Context) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	return store.ApplyMigrations(ctx, goose.DialectPostgres, db, migrations)
}

// schema returns the state of the database.
func (s *Store) schema(ctx context.Context) (store.Schema, error) {
	return store.SchemaOf(func(table string) (version int64, err error) {
		err = s.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+table+` WHERE is_applied`).Scan(&version)
		if err != nil && sqlState(err) != undefinedTable {
			return 0, err
		}
		return version, nil
	})
}
