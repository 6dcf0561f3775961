// Package postgres keeps clients in PostgreSQL.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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

// Delete removes the client with this id, if there is one. What PostgreSQL keeps of it until VACUUM and in its write-ahead
// log is the operator's, see SECURITY.md.
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM clients WHERE id = $1`, [16]byte(id)); err != nil {
		return s.failure("delete a client", err)
	}
	return nil
}

// Get returns the client with this id, or an error with domain.CodeNotFound.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (domain.Client, error) {
	c, err := scan(s.pool.QueryRow(ctx, `SELECT `+columns+` FROM clients WHERE id = $1`, [16]byte(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Client{}, domain.Errorf(domain.CodeNotFound, "no client has this id")
	}
	if err != nil {
		return domain.Client{}, s.failure("get a client", err)
	}
	return c, nil
}

// Count returns how many clients were created at from or later, and before to.
func (s *Store) Count(ctx context.Context, from, to time.Time) (n int, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM clients WHERE created_at >= $1 AND created_at < $2`, from, to).Scan(&n)
	if err != nil {
		return 0, s.failure("count clients", err)
	}
	return n, nil
}

// Page returns the next n of those clients in the order of their ids, as store.Store has it.
func (s *Store) Page(ctx context.Context, from, to time.Time, after uuid.UUID, n int) ([]domain.Client, error) {
	// Of an error here CollectRows tells.
	rows, _ := s.pool.Query(ctx, `SELECT `+columns+` FROM clients WHERE id > $1 AND created_at >= $2 AND created_at < $3 ORDER BY id LIMIT $4`,
		[16]byte(after), from, to, n)
	clients, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.Client, error) { return scan(row) })
	if err != nil {
		return nil, s.failure("read clients", err)
	}
	return clients, nil
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
