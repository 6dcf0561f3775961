package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"clientele/cmd/internal/embedded"
	"clientele/cmd/internal/process"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"

	"github.com/nats-io/nats.go"
)

// home is where commands, events and clients are kept: on servers outside, or in a data directory.
type home struct {
	natsFlags
	databaseFlags

	// dataDir holds what is not on a server outside; natsListen is where others reach the NATS in it.
	dataDir, natsListen string
}

// opened is a home in use.
type opened struct {
	conn    *nats.Conn
	natsURL string         // at which subscribers find NATS
	server  *embedded.NATS // nil if it is a server outside
	db      store.Store
}

// open connects to NATS and to the database, and starts what of them is inside.
func (h home) open(ctx context.Context, p *process.Process) (o opened, err error) {
	if h.NatsURL == "" || h.DatabaseURL == "" {
		unlock, err := process.LockDir("--data-dir", h.dataDir)
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

func (h home) openNATS(ctx context.Context, p *process.Process, o *opened) (err error) {
	if h.NatsURL != "" {
		o.natsURL = redact(h.NatsURL)
		o.conn, err = h.natsFlags.connect(ctx, p)
		return err
	}
	server, err := embedded.StartNATS(embedded.NATSConfig{
		Dir:    filepath.Join(h.dataDir, "nats"),
		Listen: h.natsListen,
		Log:    p.Log,
	})
	if listen, ok := errors.AsType[*embedded.ListenError](err); ok {
		return process.ListenError("--nats-listen", h.natsListen, listen.Err)
	}
	if err != nil {
		return err
	}
	p.OnStop("embedded NATS", func(context.Context) error { server.Stop(); return nil })
	p.Watch(ctx, "embedded NATS", server.Health)
	o.server, o.natsURL = server, server.ClientURL()
	o.conn, err = connect(ctx, p, o.natsURL, nats.InProcessServer(server))
	return err
}

func (h home) openStore(ctx context.Context, p *process.Process) (store.Store, error) {
	if h.DatabaseURL != "" {
		return h.databaseFlags.open(ctx, p)
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(h.dataDir, "clientele.db")})
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
