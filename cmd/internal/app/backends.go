package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"clientele/cmd/internal/datadir"
	"clientele/cmd/internal/embedded"
	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/refusal"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// BackendOptions say where commands, events and clients are stored: on servers, or in a data directory.
type BackendOptions struct {
	NATS     NATSOptions
	Database StoreOptions
	Embedded EmbeddedOptions
	// Served has the process use the database of a serve that runs in the data directory.
	Served bool
}

// StoreOptions say where the clients are stored.
type StoreOptions struct {
	// URL names a PostgreSQL database. If it is empty, the clients are in SQLite in DataDir.
	URL     string
	DataDir string
}

// EmbeddedOptions configure the NATS server inside the process, which runs if NATSOptions names no other. The data directory has its data.
type EmbeddedOptions struct {
	// Listen is the HOST:PORT at which other programs reach it.
	Listen string
	// ConfigFile is a configuration of nats-server with users and TLS, or "".
	ConfigFile string
	// EncryptionKeyFile has the key that encrypts its data, or is "".
	EncryptionKeyFile string
}

// backends are open.
type backends struct {
	dir     *datadir.Dir // nil for servers outside
	conn    *nats.Conn
	natsURL string         // at which subscribers reach NATS
	server  *embedded.NATS // nil for NATS servers outside
	db      store.Store
}

// lock locks the data directory, if NATS or the database is in it, or else returns nil. Call it before anything listens: a second
// process is then told about the directory, and not about a port.
func (o BackendOptions) lock(ctx context.Context, p *process.Process, database bool) (*datadir.Dir, error) {
	if o.NATS.inside() || database && o.Database.URL == "" && !o.Served {
		return lock(ctx, p, o.Database.DataDir)
	}
	return nil, nil //nolint:nilnil // as documented
}

// open connects to NATS, and to the database if it is wanted, and starts those of them that are in the data directory.
func (o BackendOptions) open(ctx context.Context, p *process.Process, dir *datadir.Dir, role string, database bool) (*backends, error) {
	b := &backends{dir: dir}
	var err error
	if database {
		if b.db, err = o.openDatabase(ctx, p); err != nil {
			return nil, err
		}
	}
	if !o.NATS.inside() {
		b.natsURL = refusal.Redact(o.NATS.URL)
		b.conn, err = o.NATS.connect(ctx, p, role)
		return b, err
	}
	if b.conn, b.server, err = o.startNATS(ctx, p, role); err == nil {
		b.natsURL = b.server.ClientURL()
	}
	return b, err
}

func (o BackendOptions) openDatabase(ctx context.Context, p *process.Process) (store.Store, error) {
	if !o.Served || o.Database.URL != "" {
		return o.Database.open(ctx, p)
	}
	db, err := o.Database.OpenExisting(ctx)
	if err == nil {
		p.OnStop("database", func(context.Context) error { return db.Close() })
	}
	return db, err
}

func lock(ctx context.Context, p *process.Process, path string) (*datadir.Dir, error) {
	dir, err := datadir.Start(ctx, p, path)
	return dir, option.Wrap(err, option.DataDir)
}

// startNATS starts the embedded NATS and connects to it.
func (o BackendOptions) startNATS(ctx context.Context, p *process.Process, role string) (*nats.Conn, *embedded.NATS, error) {
	key, err := o.Embedded.encryptionKey()
	if err != nil {
		return nil, nil, option.Wrap(err, option.NATSEncryptionKeyFile)
	}
	server, err := embedded.StartNATS(embedded.NATSConfig{
		Dir:           filepath.Join(o.Database.DataDir, "nats"),
		Listen:        o.Embedded.Listen,
		ConfigFile:    o.Embedded.ConfigFile,
		EncryptionKey: key,
		Log:           p.Log,
	})
	if errors.Is(err, embedded.ErrNoUsers) {
		return nil, nil, option.Wrap(err, option.NATSListen, option.NATSConfig)
	}
	if listen, ok := errors.AsType[*embedded.ListenError](err); ok {
		return nil, nil, option.ListenError(listen.Err, option.NATSListen, o.Embedded.Listen)
	}
	if config, ok := errors.AsType[*embedded.ConfigError](err); ok {
		return nil, nil, option.Wrap(config, option.NATSConfig)
	}
	if err != nil {
		return nil, nil, err
	}
	p.OnStop("embedded NATS", func(context.Context) error { server.Stop(); return nil })
	p.Watch(ctx, "embedded NATS", server.Health)
	conn, err := connect(ctx, p, server.ClientURL(), role, server.Option())
	return conn, server, err
}

// stageInMemory speeds up the embedded NATS, if there is one. Its streams must exist.
func (b *backends) stageInMemory(log zerolog.Logger) {
	if b.server == nil {
		return
	}
	if err := b.server.StageInMemory(); err != nil {
		log.Info().Err(err).Msg("batches are staged on disk, which is as safe but slower")
	}
}

// minEncryptionKey is the fewest characters of a key that cannot be guessed: 128 bits in hexadecimal.
const minEncryptionKey = 32

func (o EmbeddedOptions) encryptionKey() (string, error) {
	if o.EncryptionKeyFile == "" {
		return "", nil
	}
	file, err := os.ReadFile(o.EncryptionKeyFile)
	if err != nil {
		return "", fmt.Errorf("%w; create a key with openssl rand -hex 32, and keep a copy: without it the log cannot be read", err)
	}
	key := strings.TrimSpace(string(file))
	if len(key) < minEncryptionKey {
		return "", fmt.Errorf("a key must have at least %d characters, such as those of openssl rand -hex 32", minEncryptionKey)
	}
	return key, nil
}

// open opens the database for a process. PostgreSQL need not respond yet.
func (o StoreOptions) open(ctx context.Context, p *process.Process) (store.Store, error) {
	if o.URL != "" {
		db, err := postgres.Open(ctx, postgres.Config{URL: o.URL, Log: p.Log})
		if err != nil {
			return nil, option.Wrap(err, option.DatabaseURL)
		}
		p.OnStop("database", func(context.Context) error { return db.Close() })
		return db, nil
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: o.path()})
	if err != nil {
		return nil, err
	}
	p.OnStop("database", func(context.Context) error { return db.Close() })
	p.Watch(ctx, "database", db.Attached)
	return db, nil
}

func (o StoreOptions) path() string { return filepath.Join(o.DataDir, "clientele.db") }

// OpenClients opens an existing database with the schema of this program, for a command that ends. The caller closes it.
func (o StoreOptions) OpenClients(ctx context.Context) (store.Store, error) {
	db, err := o.OpenExisting(ctx)
	if err != nil {
		return nil, err
	}
	if err := db.Ready(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// OpenExisting is OpenClients for a database with any schema, or none.
func (o StoreOptions) OpenExisting(ctx context.Context) (store.Store, error) {
	if o.URL != "" {
		db, err := postgres.Open(ctx, postgres.Config{URL: o.URL})
		return db, option.Wrap(err, option.DatabaseURL)
	}
	if _, err := os.Stat(o.path()); errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingDatabaseError{o.path()}
	}
	return sqlite.Open(ctx, sqlite.Config{Path: o.path()})
}

// MissingDatabaseError reports that a data directory has no database.
type MissingDatabaseError struct{ Path string }

func (e *MissingDatabaseError) Error() string { return e.Path + " does not exist" }
