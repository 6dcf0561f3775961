package main

import (
	"cmp"

	"clientele/cmd/internal/process"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// The commands that run on servers outside.

type ingressCmd struct {
	listenFlags   `embed:""`
	adminFlags    `embed:""`
	externalFlags `embed:""`
	logFlags      `embed:""`
}

// Validate is called by the parser.
func (c *ingressCmd) Validate() error { return c.externalFlags.validate() }

// Run serves the API until the context ends.
func (c *ingressCmd) Run(e env) error {
	p := process.New(c.logger(e))
	defer p.Stop()
	return c.run(e, p, &c.adminFlags, func(conn *nats.Conn, db store.Store) ([]process.Check, error) {
		if err := refuseSchema(e.ctx, p, db); err != nil {
			return nil, err
		}
		return c.listenFlags.start(e.ctx, p, conn, db)
	})
}

type workerCmd struct {
	adminFlags    `embed:""`
	externalFlags `embed:""`
	workerFlags   `embed:""`
	logFlags      `embed:""`
}

// Validate is called by the parser.
func (c *workerCmd) Validate() error {
	return cmp.Or(c.externalFlags.validate(), c.workerFlags.validate())
}

// Run works off the command log until the context ends.
func (c *workerCmd) Run(e env) error {
	p := process.New(c.logger(e))
	defer p.Stop()
	return c.run(e, p, &c.adminFlags, func(conn *nats.Conn, db store.Store) ([]process.Check, error) {
		if err := await(e.ctx, p, "the database", db.Ready); err != nil {
			return nil, err
		}
		checks, err := c.workerFlags.start(e.ctx, p, conn, db)
		return append(checks, process.Check{Name: "database", Missing: db.Ready}), err
	})
}

// run runs a role until the context ends. It waits for servers that are away, and refuses servers that are not set up for
// this version.
func (f externalFlags) run(e env, p *process.Process, af *adminFlags,
	start func(*nats.Conn, store.Store) ([]process.Check, error),
) error {
	admin, err := af.start(p)
	if err != nil {
		return err
	}
	db, err := f.databaseFlags.open(e.ctx, p)
	if err != nil {
		return err
	}
	conn, err := f.connect(e.ctx, p)
	if err != nil {
		return ignoreStop(e.ctx, err)
	}
	checks, err := start(conn, db)
	if err != nil {
		return ignoreStop(e.ctx, err)
	}
	admin.Start(checks)
	p.Log.Info().Msg("ready")
	return p.Wait(e.ctx)
}

type migrateCmd struct {
	externalFlags `embed:""`
	streamFlags   `embed:""`
	logFlags      `embed:""`
}

// Validate is called by the parser.
func (c *migrateCmd) Validate() error {
	return cmp.Or(c.externalFlags.validate(), c.streamFlags.validate())
}

// Run migrates and ends.
func (c *migrateCmd) Run(e env) error {
	p := process.New(c.logger(e))
	defer p.Stop()
	db, err := c.open(e.ctx, p)
	if err != nil {
		return err
	}
	conn, err := c.connect(e.ctx, p)
	if err != nil {
		return err
	}
	if err := migrate(e.ctx, p, conn, db, c.config()); err != nil {
		return err
	}
	p.Log.Info().Msg("database, streams and consumer are at this version")
	return nil
}
