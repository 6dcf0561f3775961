package main

import (
	"cmp"
	"context"

	"clientele/cmd/internal/process"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// The commands that run on servers outside.

type ingressCmd struct {
	listenFlags   `embed:"" group:"api"`
	processFlags  `embed:"" group:"process"`
	externalFlags `embed:""`
}

// Help is printed by --help.
func (*ingressCmd) Help() string {
	return `Examples:

  clientele ingress --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

As many as wanted, behind any load balancer. Run clientele migrate first.`
}

// Validate is called by the parser.
func (c *ingressCmd) Validate() error {
	return cmp.Or(c.listenFlags.validate(), c.processFlags.validate(), c.externalFlags.validate())
}

// Run serves the API until the context ends.
func (c *ingressCmd) Run(e env) error {
	return c.run(e, &c.processFlags, "ingress", func(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store) ([]process.Check, error) {
		if err := refuseSchema(ctx, p, db); err != nil {
			return nil, err
		}
		return c.listenFlags.start(ctx, p, conn, db)
	})
}

type workerCmd struct {
	processFlags  `embed:"" group:"process"`
	externalFlags `embed:""`
	workerFlags   `embed:"" group:"worker"`
}

// Help is printed by --help.
func (*workerCmd) Help() string {
	return `Examples:

  clientele worker --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

As many as wanted: they share the log. Run clientele migrate first.`
}

// Validate is called by the parser.
func (c *workerCmd) Validate() error {
	return cmp.Or(c.processFlags.validate(), c.externalFlags.validate(), c.workerFlags.validate())
}

// Run works off the command log until the context ends.
func (c *workerCmd) Run(e env) error {
	return c.run(e, &c.processFlags, "worker", func(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store) ([]process.Check, error) {
		if err := await(ctx, p, "the database", db.Ready); err != nil {
			return nil, err
		}
		checks, err := c.workerFlags.start(ctx, p, conn, db)
		return append(checks, process.Check{Name: "database", Missing: db.Ready}), err
	})
}

// run runs a role until the context ends. It waits for servers that are away, and refuses servers that are not set up for
// this version.
func (f externalFlags) run(e env, pf *processFlags, role string,
	start func(context.Context, *process.Process, *nats.Conn, store.Store) ([]process.Check, error),
) error {
	p := process.New(pf.logger(e), pf.ShutdownTimeout)
	return p.Run(e.ctx, func(ctx context.Context) error {
		admin, err := pf.start(ctx, p, e)
		if err != nil {
			return err
		}
		db, err := f.databaseFlags.open(ctx, p)
		if err != nil {
			return err
		}
		conn, err := f.connect(ctx, p, role)
		if err != nil {
			return err
		}
		checks, err := start(ctx, p, conn, db)
		if err != nil {
			return err
		}
		admin.Start(advised(checks))
		p.Log.Info().Msg("ready")
		return nil
	})
}
