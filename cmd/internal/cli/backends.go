package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"clientele/cmd/internal/embedded"
	"clientele/cmd/internal/process"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"

	"github.com/nats-io/nats.go"
)

// backendFlags say where commands, events and clients are stored: on servers outside, or in a data directory.
type backendFlags struct {
	natsFlags
	databaseFlags

	dataDirFlags
}

// backends are open connections to them.
type backends struct {
	conn    *nats.Conn
	natsURL string         // at which subscribers find NATS
	server  *embedded.NATS // nil if it is a server outside
	db      store.Store
}

// open connects to NATS and to the database, and starts what of them is inside.
func (h backendFlags) open(ctx context.Context, p *process.Process) (o backends, err error) {
	if h.NatsURL == "" || h.DatabaseURL == "" {
		unlock, err := lockDataDir(h.DataDir)
		if err != nil {
			return o, err
		}
		p.OnStop("data directory", func(context.Context) error { unlock(); return nil })
	}
	if err := h.openNATS(ctx, p, &o); err != nil {
		return o, err
	}
	o.db, err = h.openStore(ctx, p)
	return o, err
}

func (h backendFlags) openNATS(ctx context.Context, p *process.Process, o *backends) (err error) {
	if h.NatsURL != "" {
		o.natsURL = redact(h.NatsURL)
		o.conn, err = h.natsFlags.connect(ctx, p, "serve")
		return err
	}
	key, err := h.encryptionKey()
	if err != nil {
		return err
	}
	server, err := embedded.StartNATS(embedded.NATSConfig{
		Dir:    filepath.Join(h.DataDir, "nats"),
		Listen: h.NatsListen,

		ConfigFile:    h.NatsConfig,
		EncryptionKey: key,
		Log:           p.Log,
	})
	if listen, ok := errors.AsType[*embedded.ListenError](err); ok {
		return listenAdvice("--nats-listen (users: --nats-config)", h.NatsListen, listen.Err)
	}
	if err != nil {
		return err
	}
	p.OnStop("embedded NATS", func(context.Context) error { server.Stop(); return nil })
	p.Watch(ctx, "embedded NATS", server.Health)
	o.server, o.natsURL = server, server.ClientURL()
	o.conn, err = connect(ctx, p, o.natsURL, "serve", server.Option())
	return err
}

// minEncryptionKey is the fewest characters of a key that is not to be guessed: 128 bits in hexadecimal.
const minEncryptionKey = 32

func (f dataDirFlags) encryptionKey() (string, error) {
	if f.NatsEncryptionKeyFile == "" {
		return "", nil
	}
	file, err := os.ReadFile(f.NatsEncryptionKeyFile)
	if err != nil {
		return "", fmt.Errorf("--nats-encryption-key-file: %w; make a key with openssl rand -hex 32, and keep it: without it the log is lost", err)
	}
	key := strings.TrimSpace(string(file))
	if len(key) < minEncryptionKey {
		return "", fmt.Errorf("--nats-encryption-key-file: a key has at least %d characters, such as those of openssl rand -hex 32", minEncryptionKey)
	}
	return key, nil
}

func (h backendFlags) openStore(ctx context.Context, p *process.Process) (store.Store, error) {
	if h.DatabaseURL != "" {
		return h.databaseFlags.open(ctx, p)
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(h.DataDir, "clientele.db")})
	if err != nil {
		return nil, err
	}
	p.OnStop("database", func(context.Context) error { return db.Close() })
	p.Watch(ctx, "database", db.Attached)
	return db, nil
}

// open opens PostgreSQL; it need not be there yet.
func (f databaseFlags) open(ctx context.Context, p *process.Process) (store.Store, error) {
	db, err := postgres.Open(ctx, postgres.Config{URL: f.DatabaseURL, Log: p.Log})
	if err != nil {
		return nil, fmt.Errorf("--database-url: %w", err)
	}
	p.OnStop("database", func(context.Context) error { return db.Close() })
	return db, nil
}
