package cli

import (
	"cmp"

	"clientele/cmd/internal/app"
)

type ingressCmd struct {
	listenFlags   `embed:"" group:"api"`
	processFlags  `embed:"" group:"process"`
	externalFlags `embed:""`
	auditLogFlag  `embed:"" group:"process"`
}

// Help is printed by --help.
func (*ingressCmd) Help() string {
	return `Examples:

  clientele ingress --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

Run any number of them behind a load balancer. Run clientele migrate first.`
}

// Validate is called by the parser.
func (c *ingressCmd) Validate() error {
	return cmp.Or(c.processFlags.validate(), c.externalFlags.validate(), advise(c.options().Validate()))
}

func (c *ingressCmd) options() app.Options {
	return app.Options{
		Role: "ingress", Process: c.processFlags.options(), Backends: c.externalFlags.options(), API: c.listenFlags.options(),
		Audit: c.operator(),
	}
}

// Run serves the API until the context ends.
func (c *ingressCmd) Run(e env) error { return run(e, c.logFlags, c.options(), nil) }
