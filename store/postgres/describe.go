package postgres

import (
	"context"
	"crypto/tls"
	"time"

	"clientele/store"

	"github.com/jackc/pgx/v5/pgxpool"
)

// settings are what the server says about itself. The settings are those with which it keeps what it has committed.
const settings = `SELECT split_part(current_setting('server_version'), ' ', 1), clock_timestamp(),
	array_remove(ARRAY[
		CASE WHEN current_setting('fsync') = 'off' THEN 'fsync = off' END,
		CASE WHEN current_setting('full_page_writes') = 'off' THEN 'full_page_writes = off' END
	], NULL)`

// lacking are the rights of clientele_operator in deploy/postgres/roles.sql that this role does not have. It skips tables that do not
// exist.
const lacking = `SELECT coalesce(array_agg(privilege || ' on ' || name), '{}') FROM (VALUES
		('SELECT', 'clients'), ('DELETE', 'clients'), ('SELECT', 'erasures'), ('INSERT', 'erasures'),
		('SELECT', 'holds'), ('INSERT', 'holds'), ('DELETE', 'holds')
	) AS needed (privilege, name)
	WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), privilege)`

// Describe implements store.Store.
func (s *Store) Describe(ctx context.Context) (store.Description, error) {
	d := store.Description{Product: "PostgreSQL", Program: schemaVersion}
	var err error
	if d.Schema, err = s.schema(ctx); err != nil { // before the connection is acquired: the pool may have only one
		return store.Description{}, err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return store.Description{}, s.failure("describe the database", err)
	}
	defer conn.Release()
	if err := conn.QueryRow(ctx, settings).Scan(&d.Version, &d.Now, &d.Unsafe); err != nil {
		return store.Description{}, s.failure("describe the database", err)
	}
	if err := conn.QueryRow(ctx, lacking).Scan(&d.Lacking); err != nil {
		return store.Description{}, s.failure("look up the rights of this role", err)
	}
	d.CertificateExpires = expiry(conn)
	return d, nil
}

// expiry returns when the certificate of the server expires, or the zero time without TLS.
func expiry(conn *pgxpool.Conn) time.Time {
	secure, ok := conn.Conn().PgConn().Conn().(*tls.Conn)
	if !ok || len(secure.ConnectionState().PeerCertificates) == 0 {
		return time.Time{}
	}
	return secure.ConnectionState().PeerCertificates[0].NotAfter
}
