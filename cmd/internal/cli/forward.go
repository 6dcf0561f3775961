package cli

import (
	"cmp"

	"clientele/cmd/internal/app"
)

type forwardCmd struct {
	processFlags  `embed:"" group:"process"`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*forwardCmd) Help() string {
	return `Examples:

  clientele forward --nats-url nats://forward:secret@127.0.0.1:4222

It delivers events to the webhooks of clientele webhooks add, and needs no database. Run any number of them: they share the
work. Changes of webhooks apply within two seconds.`
}

// Validate is called by the parser.
func (c *forwardCmd) Validate() error {
	return cmp.Or(c.processFlags.validate(), advise(c.options().Validate()))
}

func (c *forwardCmd) options() app.Options {
	return app.Options{
		Role: "forward", Process: c.processFlags.options(), Backends: app.BackendOptions{NATS: c.operatorFlags.options()},
		Forward: &app.ForwardOptions{UserAgent: userAgent()},
	}
}

// Run delivers events until the context ends.
func (c *forwardCmd) Run(e env) error { return run(e, c.logFlags, c.options(), nil) }
