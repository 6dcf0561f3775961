package cli

import (
	"cmp"
	"context"
	"fmt"

	"clientele/cmd/internal/process"
)

type serveCmd struct {
	listenFlags   `embed:"" group:"api"`
	processFlags  `embed:"" group:"process"`
	dataDirFlags  `embed:"" group:"inside"`
	natsFlags     `embed:"" group:"nats"`
	databaseFlags `embed:"" group:"database"`
	streamFlags   `embed:"" group:"streams"`
	workerFlags   `embed:"" group:"worker"`
}

// Help is printed by --help.
func (*serveCmd) Help() string {
	return `Examples:

  # All there is, with its data in ./clientele-data
  clientele serve

  # For a network: a key for each caller, and TLS
  clientele keys new --name crm --scope clients:write,clients:read --keys-file keys
  clientele serve --listen 0.0.0.0:8443 --keys-file keys --tls-cert api.crt --tls-key api.key

  # With a NATS or a PostgreSQL of yours
  clientele serve --database-url postgres://clientele@db.example.com/clientele`
}

// Validate is called by the parser.
func (c *serveCmd) Validate() error {
	return cmp.Or(c.listenFlags.validate(), c.processFlags.validate(), c.streamFlags.validate(), c.workerFlags.validate())
}

// Run runs ingress and worker until the context ends.
func (c *serveCmd) Run(e env) error {
	p := process.New(c.logger(e), c.ShutdownTimeout)
	return p.Run(e.ctx, func(ctx context.Context) error {
		natsURL, err := c.start(ctx, p, e)
		if err == nil {
			authorization := ""
			if c.hasAuth() {
				authorization = authorizationLine
			}
			fmt.Fprintf(e.stdout, banner, c.listenFlags.url(), c.AdminListen, natsURL, authorization)
		}
		return err
	})
}

const authorizationLine = `    --header 'Authorization: Bearer KEY' \
`

const banner = `Clientele takes in clients on %[1]s (readiness: http://%[2]s/readyz).
Subscribers find client.created on %[3]s.
What the API takes and answers is on %[1]s/docs.

Try it:

  curl -i %[1]s/api/v2/clients \
%[4]s    --header 'Content-Type: application/json' \
    --header 'Idempotency-Key: onboarding-4712' \
    --data '{"firstName": "John", "lastName": "Smith", "emailAddress": "john@example.com"}'

`

// start starts everything, and returns the URL at which subscribers find NATS.
func (c *serveCmd) start(ctx context.Context, p *process.Process, e env) (natsURL string, err error) {
	admin, err := c.processFlags.start(ctx, p, e)
	if err != nil {
		return "", err
	}
	h, err := backendFlags{c.natsFlags, c.databaseFlags, c.dataDirFlags}.open(ctx, p)
	if err != nil {
		return "", err
	}
	if err := setUp(ctx, p, h.conn, h.db, c.config()); err != nil {
		return "", err
	}
	if h.server != nil {
		if err := h.server.StageInMemory(); err != nil {
			p.Log.Info().Err(err).Msg("batches are staged on disk, which is as safe and slower")
		}
	}
	workerChecks, err := c.workerFlags.start(ctx, p, h.conn, h.db)
	if err != nil {
		return "", err
	}
	checks, err := c.listenFlags.start(ctx, p, h.conn, h.db)
	if err != nil {
		return "", err
	}
	admin.Start(advised(append(checks, workerChecks...)))
	return h.natsURL, nil
}
