package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/publisher"
	"clientele/store"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type migrateCmd struct {
	DataDir       string `placeholder:"DIR" help:"Data directory of a clientele serve that is stopped, for what is not on servers of yours."`
	natsFlags     `embed:""`
	databaseFlags `embed:""`
	streamFlags   `embed:""`
	logFlags      `embed:""`
}

// Validate is called by the parser.
func (c *migrateCmd) Validate() error {
	if c.DataDir == "" && (c.NatsURL == "" || c.DatabaseURL == "") {
		return errors.New("--nats-url and --database-url are needed, or the --data-dir of a clientele serve")
	}
	return c.streamFlags.validate()
}

// Run migrates and ends.
func (c *migrateCmd) Run(e env) (err error) {
	p := process.New(c.logger(e), 20*time.Second)
	defer func() { err = cmp.Or(err, p.Stop()) }()
	conn, _, db, err := home{c.natsFlags, c.databaseFlags, c.DataDir, "127.0.0.1:0"}.open(e.ctx, p)
	if err != nil {
		return err
	}
	if err := migrate(e.ctx, p, conn, db, c.config()); err != nil {
		return err
	}
	p.Log.Info().Msg("database, streams and consumer are at this version")
	return nil
}

// migrate brings the streams, the consumer and the database to this version, waiting for servers that are away. The
// database comes last: where it has a schema, everything has been there.
func migrate(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store, cfg publisher.StreamsConfig) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	err = await(ctx, p, "the streams", func(ctx context.Context) error {
		if err := publisher.MigrateStreams(ctx, js, cfg); err != nil {
			return err
		}
		return consumer.Migrate(ctx, js)
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

// lostError is a part that is missing beside others that are there.
type lostError struct{ err error }

func (e *lostError) Error() string {
	return fmt.Sprintf("%v. The rest is there, so this was lost: bring it back, or have clientele migrate make it anew, empty", e.err)
}

func refuseLoss(ctx context.Context, js jetstream.JetStream, db store.Store) error {
	err := db.Ready(ctx)
	schema, answers := errors.AsType[*store.SchemaError](err)
	if err != nil && !answers {
		return err
	}
	if schema != nil && schema.Have == 0 {
		if used, err := publisher.LogIsUsed(ctx, js); err != nil || !used {
			return err
		}
		return &lostError{errors.New("the database is empty, but the command log has had commands")}
	}
	err = cmp.Or(publisher.StreamsReady(ctx, js), consumer.Ready(ctx, js))
	_, stream := errors.AsType[*publisher.MissingStreamError](err)
	_, worker := errors.AsType[*consumer.MissingConsumerError](err)
	if stream || worker {
		return &lostError{err}
	}
	return err
}
