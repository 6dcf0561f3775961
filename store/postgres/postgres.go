// Package postgres keeps clients in PostgreSQL.
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

// The limits on what may hang when a server vanishes without a word.
const (
	connectTimeout = 5 * time.Second
	pingTimeout    = 5 * time.Second
)

// lifetimeJitter spreads the renewal of connections, which are an hour old then, so that not all are renewed at once.
const lifetimeJitter = 10 * time.Minute

// Config says where the database is.
type Config struct {
	// URL is a connection URL as libpq knows it, with several hosts if need be. Unless it says otherwise,
	// connect_timeout is 5 s, application_name is clientele, and target_session_attrs is read-write, which finds the
	// primary among the hosts.
	URL string
	// MaxConns is how many connections may be open at once. 0 leaves it to the URL's pool_max_conns, or else to pgx: as
	// many as there are CPUs, and four at least.
	MaxConns int32
	// Log is told of failovers.
	Log zerolog.Logger
}

// Store keeps clients in a PostgreSQL database. Transactions need no other isolation than READ COMMITTED.
type Store struct {
	pool *pgxpool.Pool
	log  zerolog.Logger
}

var _ store.Store = (*Store)(nil)

// Open returns a store that connects when it is first used: a server that is away is no error here. The error names the
// field of cfg that is wrong, and holds no part of the URL.
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
	// pgx turns "any", which is also its default, into no validation at all: whether it was asked for stands in the URL.
	_, query, _ := strings.Cut(cfg.URL, "?")
	if asked, _ := url.ParseQuery(query); conn.ValidateConnect == nil && !asked.Has("target_session_attrs") {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return pc, nil
}

// reason returns what pgx has to say of a URL that it cannot parse, without the parts that quote it: in a malformed URL
// there is no telling where the password is.
func reason(err error) string {
	text := err.Error()
	if cause := errors.Unwrap(err); cause != nil {
		text = strings.TrimSuffix(text, " ("+cause.Error()+")")
	}
	text = text[strings.LastIndex(text, "`: ")+len("`: "):]
	text, _, _ = strings.Cut(text, ":")
	return text
}
