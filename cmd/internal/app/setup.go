package app

import (
	"cmp"
	"context"
	"errors"
	"time"

	"clientele/cmd/internal/process"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/streams"
	"clientele/store"

	"github.com/nats-io/nats.go/jetstream"
)

// attemptTimeout bounds one attempt to reach a server.
const attemptTimeout = 5 * time.Second

// await waits until f succeeds, and gives up with an error that is permanent.
func await(ctx context.Context, p *process.Process, what string, f func(context.Context) error) error {
	return p.Await(ctx, what, bounded(f), Permanent)
}

// bounded returns f with a time limit.
func bounded(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		return f(ctx)
	}
}

// migrate brings the streams, the consumer and the database to this version, and waits for servers that cannot be reached. The
// database is last: if it has a schema, the streams have existed. Except for an audit stream that is missing, nothing changes before
// the migration is recorded.
func migrate(ctx context.Context, p *process.Process, b *backends, cfg streams.Config, o audit.Operator) error {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return err
	}
	if err := await(ctx, p, "the database", func(ctx context.Context) error { return refuseNewer(ctx, b.db) }); err != nil {
		return err
	}
	cfg.Created = func(stream string) { p.Log.Info().Str("stream", stream).Msg("created an empty stream") }
	var trail *audit.Recorder
	err = await(ctx, p, "the audit trail", func(ctx context.Context) error {
		if err := streams.CreateAudit(ctx, js, cfg); err != nil {
			return err
		}
		trail, err = o.Open(ctx, b.conn)
		return err
	})
	if err != nil {
		return err
	}
	return trail.Act(ctx, domain.AuditRecord{Action: domain.AuditMigrate}, func(*domain.AuditRecord) error {
		defer warnOfOneServer(ctx, p, b)
		return migrateAll(ctx, p, js, b.db, cfg)
	})
}

func warnOfOneServer(ctx context.Context, p *process.Process, b *backends) {
	if streams.OnOneServer(ctx, b.conn) {
		p.Log.Warn().Msg("the streams are on one server of the NATS cluster: run clientele migrate --replicas 3 to keep them on three")
	}
}

// migrateAll brings the streams, the consumer and, last, the database to this version.
func migrateAll(ctx context.Context, p *process.Process, js jetstream.JetStream, db store.Store, cfg streams.Config) error {
	err := await(ctx, p, "the streams", func(ctx context.Context) error {
		if err := streams.Migrate(ctx, js, cfg); err != nil {
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
	// This has no time limit: a large table can take long.
	return p.Await(ctx, "the database", func(ctx context.Context) error {
		from, to, err := db.Migrate(ctx)
		if err == nil && from != to {
			p.Log.Info().Int64("from", from).Int64("to", to).Msg("migrated the database schema")
		}
		return err
	}, Permanent)
}

// refuseNewer refuses a database that a newer program has migrated, before anything changes.
func refuseNewer(ctx context.Context, db store.Store) error {
	err := db.Ready(ctx)
	if schema, ok := errors.AsType[*store.SchemaError](err); ok && schema.Have <= schema.Want {
		return nil
	}
	return err
}

// setUp migrates for a process that does so at every start. If that would recreate something that was lost, it returns a *LostError.
func setUp(ctx context.Context, p *process.Process, b *backends, cfg streams.Config, o audit.Operator) error {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return err
	}
	err = await(ctx, p, "the streams and the database", func(ctx context.Context) error { return refuseLoss(ctx, js, b.db) })
	if err != nil {
		return err
	}
	return migrate(ctx, p, b, cfg, o)
}

func refuseLoss(ctx context.Context, js jetstream.JetStream, db store.Store) error {
	// The log is first: another process that sets up at this moment creates its schema before its first command.
	used, err := streams.LogIsUsed(ctx, js)
	if err != nil {
		return err
	}
	err = db.Ready(ctx)
	schema, responds := errors.AsType[*store.SchemaError](err)
	switch {
	case err != nil && !responds:
		return err
	case schema != nil && schema.Have == 0 && used:
		return &LostError{errors.New("the database is empty, but the command log has contained commands")}
	case schema != nil && schema.Have == 0:
		return nil
	}
	err = cmp.Or(streams.Ready(ctx, js), consumer.Ready(ctx, js))
	_, stream := errors.AsType[*streams.MissingError](err)
	_, worker := errors.AsType[*consumer.MissingConsumerError](err)
	if stream || worker {
		return &LostError{err}
	}
	return err
}
