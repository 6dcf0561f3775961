package cli

import (
	"cmp"
	"errors"
	"time"

	"clientele/cmd/internal/app"
)

type migrateCmd struct {
	Timeout               time.Duration `default:"60s" help:"How long to wait for servers that cannot be reached (${default})."`
	DataDir               string        `placeholder:"DIR" help:"Data directory of a stopped clientele serve, instead of --nats-url or --database-url."`
	NatsEncryptionKeyFile string        `type:"path" predictor:"file" placeholder:"FILE" help:"Key that encrypts the streams in the data directory."`
	natsFlags             `embed:"" group:"nats"`
	databaseFlags         `embed:"" group:"database"`
	streamFlags           `embed:"" group:"streams"`
	auditFlags            `embed:""`
	logFlags              `embed:"" group:"process"`
}

// Help is printed by --help.
func (*migrateCmd) Help() string {
	return `Examples:

  # Your own servers, before the first start and before each upgrade of ingress and worker
  clientele migrate --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

  # Three NATS servers keep each message
  clientele migrate --replicas 3 --nats-url … --database-url …

  # Recreate, empty, what is missing from the data directory of a stopped serve
  clientele migrate --data-dir clientele-data`
}

// Validate is called by the parser.
func (c *migrateCmd) Validate() error {
	if c.DataDir == "" && (c.NatsURL == "" || c.url() == "") {
		return errors.New("pass --nats-url and --database-url, or the --data-dir of clientele serve")
	}
	if c.Timeout <= 0 {
		return errors.New("--timeout must be positive")
	}
	return cmp.Or(c.databaseFlags.Validate(), c.streamFlags.validate())
}

// Run migrates and ends.
func (c *migrateCmd) Run(e env) error {
	err := app.Migrate(e.ctx, app.MigrateOptions{
		Process: e.process(app.ProcessOptions{}, c.logFlags),
		Backends: app.BackendOptions{
			NATS:     c.natsFlags.options(),
			Database: app.StoreOptions{URL: c.url(), DataDir: c.DataDir},
			Embedded: app.EmbeddedOptions{Listen: "127.0.0.1:0", EncryptionKeyFile: c.NatsEncryptionKeyFile},
		},
		Streams: c.streamFlags.options(),
		Audit:   c.operator(),
		Timeout: c.Timeout,
	})
	if errors.Is(err, app.ErrInterrupted) {
		return errors.New("interrupted before everything was migrated: run this again")
	}
	return err
}
