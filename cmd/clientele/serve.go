package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"clientele/cmd/internal/embedded"
	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/publisher"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type serveCmd struct {
	listenFlags   `embed:""`
	adminFlags    `embed:""`
	DataDir       string `default:"./clientele-data" placeholder:"DIR" help:"Where the embedded NATS and SQLite keep their files (${default})."`
	NatsListen    string `default:"127.0.0.1:4222" placeholder:"HOST:PORT" help:"Where subscribers reach the embedded NATS (${default}); unused with --nats-url."`
	natsFlags     `embed:""`
	databaseFlags `embed:""`
	streamFlags   `embed:""`
	workerFlags   `embed:""`
	logFlags      `embed:""`
}

// Validate is called by the parser.
func (c *serveCmd) Validate() error {
	return cmp.Or(c.streamFlags.validate(), c.workerFlags.validate())
}

// Run runs ingress and worker until the context ends.
func (c *serveCmd) Run(e env) error {
	p := process.New(c.logger(e))
	defer p.Stop()
	natsURL, err := c.start(e.ctx, p)
	if err != nil {
		return ignoreStop(e.ctx, err)
	}
	fmt.Fprintf(e.stdout, banner, c.Listen, c.AdminListen, natsURL)
	return p.Wait(e.ctx)
}

const banner = `Clientele takes in clients on http://%[1]s (readiness: http://%[2]s/readyz).
Subscribers find client.created on %[3]s.

Try it:

  curl -i http://%[1]s/api/v2/clients \
    --header 'Content-Type: application/json' \
    --data '{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com"}'

`

// start starts everything, and returns the URL at which subscribers find NATS.
func (c *serveCmd) start(ctx context.Context, p *process.Process) (natsURL string, err error) {
	admin, err := c.adminFlags.start(p)
	if err != nil {
		return "", err
	}
	if c.NatsURL == "" || c.DatabaseURL == "" {
		unlock, err := process.LockDir("--data-dir", c.DataDir)
		if err != nil {
			return "", err
		}
		p.OnStop("data directory", func(context.Context) error { unlock(); return nil })
	}
	conn, natsURL, err := c.startNATS(ctx, p)
	if err != nil {
		return "", err
	}
	db, err := c.openStore(ctx, p)
	if err != nil {
		return "", err
	}
	if err := migrate(ctx, p, conn, db, c.config()); err != nil {
		return "", err
	}
	workerChecks, err := c.workerFlags.start(ctx, p, conn, db)
	if err != nil {
		return "", err
	}
	checks, err := c.listenFlags.start(ctx, p, conn, db)
	if err != nil {
		return "", err
	}
	admin.Start(append(checks, workerChecks...))
	return natsURL, nil
}

func (c *serveCmd) startNATS(ctx context.Context, p *process.Process) (*nats.Conn, string, error) {
	if c.NatsURL != "" {
		conn, err := c.natsFlags.connect(ctx, p)
		return conn, redact(c.NatsURL), err
	}
	server, err := embedded.StartNATS(embedded.NATSConfig{
		Dir:    filepath.Join(c.DataDir, "nats"),
		Listen: c.NatsListen,
		Log:    p.Log,
	})
	if err != nil {
		return nil, "", process.ListenError("--nats-listen", c.NatsListen, err)
	}
	p.OnStop("embedded NATS", func(context.Context) error { server.Stop(); return nil })
	conn, err := connect(ctx, p, server.ClientURL(), nats.InProcessServer(server))
	return conn, server.ClientURL(), err
}

func (c *serveCmd) openStore(ctx context.Context, p *process.Process) (store.Store, error) {
	if c.DatabaseURL != "" {
		return c.databaseFlags.open(ctx, p)
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(c.DataDir, "clientele.db")})
	if err != nil {
		return nil, err
	}
	p.OnStop("database", func(context.Context) error { return db.Close() })
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

// migrate brings the database, the streams and the consumer to this version, waiting for servers that are away.
func migrate(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store, cfg publisher.StreamsConfig) error {
	err := await(ctx, p, "the database", func(ctx context.Context) error {
		from, to, err := db.Migrate(ctx)
		if err == nil && from != to {
			p.Log.Info().Int64("from", from).Int64("to", to).Msg("migrated the database schema")
		}
		return err
	})
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return await(ctx, p, "the streams", func(ctx context.Context) error {
		if err := publisher.MigrateStreams(ctx, js, cfg); err != nil {
			return err
		}
		return consumer.Migrate(ctx, js)
	})
}

// ignoreStop returns nil for an error that only says that the process was told to stop.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // to stop is what was asked for
	}
	return err
}
