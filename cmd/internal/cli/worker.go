package cli

import (
	"cmp"

	"clientele/cmd/internal/app"
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

Run any number of them: they share the log. Run clientele migrate first.`
}

// Validate is called by the parser.
func (c *workerCmd) Validate() error {
	return cmp.Or(c.processFlags.validate(), c.externalFlags.validate(), advise(c.options().Validate()))
}

func (c *workerCmd) options() app.Options {
	return app.Options{
		Role: "worker", Process: c.processFlags.options(), Backends: c.externalFlags.options(), Worker: c.workerFlags.options(),
	}
}

// Run processes the command log until the context ends.
func (c *workerCmd) Run(e env) error { return run(e, c.logFlags, c.options(), nil) }
