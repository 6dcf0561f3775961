package cli

import (
	"cmp"
	"context"

	"clientele/cmd/internal/process"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

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
