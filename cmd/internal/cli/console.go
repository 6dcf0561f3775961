package cli

import (
	"errors"
	"fmt"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/console"
	"clientele/cmd/internal/option"
)

type consoleCmd struct {
	Listen        string `group:"console" default:"127.0.0.1:8082" placeholder:"HOST:PORT" help:"Address of the console (${default})."`
	callerFlags   `embed:"" group:"console"`
	AdminListen   string `group:"process" placeholder:"HOST:PORT" help:"Address of /livez, /readyz and /metrics; by default none."`
	runFlags      `embed:"" group:"process"`
	operatorFlags `embed:"" group:"nats"`
	databaseFlags `embed:"" group:"database"`
	auditLogFlag  `embed:"" group:"process"`
}

// Help is printed by --help.
func (*consoleCmd) Help() string {
	return `Examples:

  # For the serve that runs in ./clientele-data
  clientele console

  # For separate servers, with the operator's rights, on a network
  clientele keys new --name jo --scope operator --keys-file keys
  clientele console --listen 0.0.0.0:8443 --keys-file keys --tls-cert console.crt --tls-key console.key \
    --nats-url nats://operator@nats.example.com:4222 --database-url postgres://clientele_operator@db.example.com/clientele

serve also has the console. The scope operator:read allows viewing. operator also allows retrying and dropping rejections and reading
personal data. On loopback, without keys and issuer, every program on this machine can do so. Actions are recorded in the audit trail.`
}

// Validate is called by the parser.
func (c *consoleCmd) Validate() error {
	if err := c.databaseFlags.Validate(); err != nil {
		return err
	}
	if err := c.oneSystem(c.NatsURL, c.url()); err != nil {
		return err
	}
	return advise(c.options().Validate())
}

func (c *consoleCmd) options() app.Options {
	o := app.Options{
		Role: "operator", Process: c.runFlags.options(), Audit: c.operator(),
		Backends: app.BackendOptions{
			NATS: c.operatorFlags.options(), Database: app.StoreOptions{URL: c.url(), DataDir: c.dir()}, Served: true,
		},
		Console: &console.Options{Listen: c.Listen, Options: c.callerFlags.options()},
	}
	o.Process.AdminListen = c.AdminListen
	return o
}

// Run serves the console until the context ends.
func (c *consoleCmd) Run(e env) error {
	err := run(e, c.logFlags, c.options(), func(a *app.App) {
		fmt.Fprintf(e.stdout, "The console is on %s.\n", a.ConsoleURL())
	})
	if used, ok := errors.AsType[*option.InUseError](err); ok && used.Address == defaultConsole {
		return &advisedError{fmt.Sprintf("%[1]s is in use: if clientele serve runs, its console is at http://%[1]s; "+
			"otherwise choose another address with --listen", used.Address), err}
	}
	return err
}
