package cli

import (
	"cmp"
	"context"

	"clientele/cmd/internal/process"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

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

// Run processes the command log until the context ends.
func (c *workerCmd) Run(e env) error {
	return c.run(e, &c.processFlags, "worker", func(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store) ([]process.Check, error) {
		if err := await(ctx, p, "the database", db.Ready); err != nil {
			return nil, err
		}
		checks, err := c.workerFlags.start(ctx, p, conn, db)
		return append(checks, process.Check{Name: "database", Probe: db.Ready}), err
	})
}
