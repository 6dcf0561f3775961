// Package postgres stores clients in PostgreSQL.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"clientele/store"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
)

// The timeouts for a server that does not respond.
const (
	connectTimeout = 5 * time.Second
	pingTimeout    = 5 * time.Second
)

// lifetimeJitter spreads the renewal of connections, which pgx renews after an hour.
const lifetimeJitter = 10 * time.Minute

// Config configures Open.
type Config struct {
	// URL is a connection URL as in libpq; it may name several hosts. The defaults of its parameters are 5 s for
	// connect_timeout, clientele for application_name, and read-write for target_session_attrs, which finds the primary among
	// the hosts. synchronous_commit is on, whatever the server's default; the URL may set it to remote_write or remote_apply.
	URL string
	// MaxConns is the maximum number of open connections. If it is 0, pool_max_conns in the URL applies, or else pgx's default:
	// the number of CPUs, but at least 4.
	MaxConns int32
	// Log receives a warning at each failover, and for each rejection that cannot be recorded.
	Log zerolog.Logger
}

// Store stores clients in a PostgreSQL database. Its transactions use READ COMMITTED.
type Store struct {
	pool *pgxpool.Pool
	log  zerolog.Logger
}

var _ store.Store = (*Store)(nil)

// Open returns a store that connects on first use: an unavailable server is not an error here. An error names the invalid field
// of cfg. It does not quote the URL.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pc, err := poolConfig(cfg)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open a connection pool: %w", err)
	}
	return &Store{pool: pool, log: cfg.Log}, nil
}

// Close waits for calls in progress and closes the connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

func poolConfig(cfg Config) (*pgxpool.Config, error) {
	if !strings.HasPrefix(cfg.URL, "postgres://") && !strings.HasPrefix(cfg.URL, "postgresql://") {
		return nil, errors.New("URL: must begin with postgres:// or postgresql://")
	}
	if cfg.MaxConns < 0 {
		return nil, fmt.Errorf("MaxConns: %d is negative", cfg.MaxConns)
	}
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("URL: %s", reason(err))
	}
	if cfg.MaxConns > 0 {
		pc.MaxConns = cfg.MaxConns
	}
	pc.PingTimeout = pingTimeout
	if pc.MaxConnLifetimeJitter == 0 {
		pc.MaxConnLifetimeJitter = lifetimeJitter
	}
	conn := pc.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "clientele"
	}
	if err := syncCommits(conn.RuntimeParams); err != nil {
		return nil, err
	}
	// pgx has no validation for "any", which is also its default: only the URL tells whether "any" was chosen.
	_, query, _ := strings.Cut(cfg.URL, "?")
	if asked, _ := url.ParseQuery(query); conn.ValidateConnect == nil && !asked.Has("target_session_attrs") {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return pc, nil
}

// syncCommits makes commits return when they are on disk, here and, if the server has synchronous standbys, there. The default of a
// server, a role or a database can be weaker. Only the URL can choose remote_write, which a crash of PostgreSQL survives on both, or
// remote_apply.
func syncCommits(params map[string]string) error {
	const name = "synchronous_commit"
	switch params[name] {
	case "":
		params[name] = "on"
	case "on", "remote_write", "remote_apply":
	default:
		return fmt.Errorf("URL: %s is too weak: a crash or a failover would lose clients; leave it out", name)
	}
	return nil
}

// reason returns pgx's reason for an invalid URL, without the parts that quote the URL: in a malformed URL, the password may be
// anywhere.
func reason(err error) string {
	text := err.Error()
	if cause := errors.Unwrap(err); cause != nil {
		text = strings.TrimSuffix(text, " ("+cause.Error()+")")
	}
	text = text[strings.LastIndex(text, "`: ")+len("`: "):]
	text, _, _ = strings.Cut(text, ":")
	return text
}
