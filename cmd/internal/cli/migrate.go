package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type migrateCmd struct {
	Timeout               time.Duration `default:"60s" help:"How long to wait for servers that cannot be reached (${default})."`
	DataDir               string        `placeholder:"DIR" help:"Data directory of a clientele serve that is stopped, for what is not on servers of yours."`
	NatsEncryptionKeyFile string        `type:"path" predictor:"file" placeholder:"FILE" help:"Key that encrypts what is in it."`
	natsFlags             `embed:"" group:"nats"`
	databaseFlags         `embed:"" group:"database"`
	streamFlags           `embed:"" group:"streams"`
	logFlags              `embed:"" group:"process"`
}

// Help is printed by --help.
func (*migrateCmd) Help() string {
	return `Examples:

  # Servers of yours, before the first ingress and worker, and before those of a new version
  clientele migrate --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

  # Three NATS servers keep each message
  clientele migrate --replicas 3 --nats-url … --database-url …

  # What a serve that is stopped has lost, anew
  clientele migrate --data-dir clientele-data`
}

// Validate is called by the parser.
func (c *migrateCmd) Validate() error {
	if c.DataDir == "" && (c.NatsURL == "" || c.DatabaseURL == "") {
		return errors.New("--nats-url and --database-url are needed, or the --data-dir of a clientele serve")
	}
	if c.Timeout <= 0 {
		return errors.New("--timeout must be positive")
	}
	return c.streamFlags.validate()
}

// Run migrates and ends.
func (c *migrateCmd) Run(e env) error {
	p := process.New(c.logger(e), 20*time.Second)
	migrated := false
	if c.DataDir != "" {
		if _, err := os.Stat(c.DataDir); err != nil {
			return fmt.Errorf("--data-dir: %w: give the one of a clientele serve that is stopped", err)
		}
	}
	err := p.Run(e.ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		err := c.migrate(ctx, p)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
			return fmt.Errorf("gave up after %s (--timeout): %w", c.Timeout, err)
		}
		if err != nil {
			return err
		}
		p.Log.Info().Msg("database, streams and consumer are at this version")
		migrated = true
		p.Done()
		return nil
	})
	if err == nil && !migrated {
		return errors.New("interrupted before everything was migrated; run this again")
	}
	return err
}

func (c *migrateCmd) migrate(ctx context.Context, p *process.Process) error {
	h, err := backendFlags{c.natsFlags, c.databaseFlags, dataDirFlags{
		DataDir: c.DataDir, NatsListen: "127.0.0.1:0", NatsEncryptionKeyFile: c.NatsEncryptionKeyFile,
	}}.open(ctx, p)
	if err != nil {
		return err
	}
	return migrate(ctx, p, h.conn, h.db, c.config())
}

// migrate brings the streams, the consumer and the database to this version, waiting for servers that are away. The
// database comes last: where it has a schema, everything has been there.
func migrate(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store, cfg publisher.StreamsConfig) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	if err := await(ctx, p, "the database", func(ctx context.Context) error { return refuseNewer(ctx, db) }); err != nil {
		return err
	}
	cfg.Created = func(stream string) { p.Log.Info().Str("stream", stream).Msg("created a stream, empty") }
	err = await(ctx, p, "the streams", func(ctx context.Context) error {
		if err := publisher.MigrateStreams(ctx, js, cfg); err != nil {
			return err
		}
		_, missing := errors.AsType[*consumer.MissingConsumerError](consumer.Ready(ctx, js))
		if err := consumer.Migrate(ctx, js); err != nil {
			return err
		}
		if missing {
			p.Log.Info().Str("consumer", domain.ConsumerWorker).Msg("created a consumer, which begins with the first command on the log")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return await(ctx, p, "the database", func(ctx context.Context) error {
		from, to, err := db.Migrate(ctx)
		if err == nil && from != to {
			p.Log.Info().Int64("from", from).Int64("to", to).Msg("migrated the database schema")
		}
		return err
	})
}

// refuseNewer refuses a database that a newer program has migrated, before anything that belongs to it is touched.
func refuseNewer(ctx context.Context, db store.Store) error {
	err := db.Ready(ctx)
	if schema, ok := errors.AsType[*store.SchemaError](err); ok && schema.Have <= schema.Want {
		return nil
	}
	return err
}

// setUp is migrate for a process that calls it at every start: it refuses with a *lostError where that would make anew
// what has been lost.
func setUp(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store, cfg publisher.StreamsConfig) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	err = await(ctx, p, "the streams and the database", func(ctx context.Context) error { return refuseLoss(ctx, js, db) })
	if err != nil {
		return err
	}
	return migrate(ctx, p, conn, db, cfg)
}

func refuseLoss(ctx context.Context, js jetstream.JetStream, db store.Store) error {
	// The log comes first: if another process is just setting up, its schema is there before its first command.
	used, err := publisher.LogIsUsed(ctx, js)
	if err != nil {
		return err
	}
	err = db.Ready(ctx)
	schema, answers := errors.AsType[*store.SchemaError](err)
	switch {
	case err != nil && !answers:
		return err
	case schema != nil && schema.Have == 0 && used:
		return &lostError{errors.New("the database is empty, but the command log has had commands")}
	case schema != nil && schema.Have == 0:
		return nil
	}
	err = cmp.Or(publisher.StreamsReady(ctx, js), consumer.Ready(ctx, js))
	_, stream := errors.AsType[*publisher.MissingStreamError](err)
	_, worker := errors.AsType[*consumer.MissingConsumerError](err)
	if stream || worker {
		return &lostError{err}
	}
	return err
}
