package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"clientele/cmd/internal/backup"
	"clientele/cmd/internal/datadir"
	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"
	"clientele/cmd/internal/served"
	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/streams"
	"clientele/store"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrInterrupted reports that a job was interrupted before its end.
var ErrInterrupted = errors.New("interrupted")

// jobStopTimeout bounds how long a job takes to close what it has opened.
const jobStopTimeout = 20 * time.Second

// runJob runs f, and stops what it has started.
func runJob(ctx context.Context, o ProcessOptions, f func(context.Context, *process.Process) error) error {
	o.StopTimeout = jobStopTimeout
	p := o.new()
	complete := false
	err := p.Run(ctx, func(ctx context.Context) error {
		err := f(ctx, p)
		if err == nil {
			complete = true
			p.Done()
		}
		return err
	})
	if err == nil && !complete {
		return ErrInterrupted
	}
	return err
}

// MigrateOptions configure Migrate.
type MigrateOptions struct {
	Process  ProcessOptions
	Backends BackendOptions
	Streams  streams.Config
	Audit    audit.Operator
	// Timeout is how long to wait for servers that cannot be reached. It bounds the migration as well.
	Timeout time.Duration
}

// TimeoutError reports that a job gave up.
type TimeoutError struct {
	Timeout time.Duration
	Err     error
}

func (e *TimeoutError) Error() string { return fmt.Sprintf("gave up after %s: %v", e.Timeout, e.Err) }
func (e *TimeoutError) Unwrap() error { return e.Err }

// Migrate brings the streams, the consumer and the database to this version. A data directory must exist.
func Migrate(ctx context.Context, o MigrateOptions) error {
	if dir := o.Backends.Database.DataDir; dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return option.Wrap(err, option.DataDir)
		}
	}
	return runJob(ctx, o.Process, func(ctx context.Context, p *process.Process) error {
		ctx, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		err := func() error {
			dir, err := o.Backends.lock(ctx, p, true)
			if err != nil {
				return err
			}
			b, err := o.Backends.open(ctx, p, dir, "serve", true)
			if err != nil {
				return err
			}
			return migrate(ctx, p, b, o.Streams, o.Audit)
		}()
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return &TimeoutError{o.Timeout, err}
		}
		if err == nil {
			p.Log.Info().Msg("database, streams and consumer are at this version")
		}
		return err
	})
}

// CopyOptions configure Backup and Restore.
type CopyOptions struct {
	Process  ProcessOptions
	Backends BackendOptions
	Audit    audit.Operator
	// Dir is the directory of the backup.
	Dir string
	// Replicas is how many NATS servers keep each restored message; 0 keeps the number of the backup.
	Replicas int
	// DatabaseOnly restores the database beside streams that were kept.
	DatabaseOnly bool
	// Progress is called from time to time with the part that is copied.
	Progress func(part string, done, total int64)
	// Lacking is called with a *refusal.PermissionError when NATS refuses a right. It must end the context.
	Lacking func(error)
}

// Backup copies the streams and the clients into a directory. If a serve process runs in the data directory, its NATS is used, and only
// its database is opened.
func Backup(ctx context.Context, o CopyOptions) (m backup.Manifest, err error) {
	err = runJob(ctx, o.Process, func(ctx context.Context, p *process.Process) error {
		dir := o.Backends.Database.DataDir
		if o.Backends.NATS.inside() {
			if _, err := os.Stat(dir); err != nil {
				return option.Wrap(err, option.DataDir)
			}
		}
		conn, err := o.openNATS(ctx, p)
		if _, running := errors.AsType[*datadir.InUseError](err); running && served.Runs(dir) {
			o.Backends.NATS.Local = dir
			conn, err = o.openNATS(ctx, p)
		}
		if err != nil {
			return err
		}
		db, err := o.Backends.Database.OpenClients(ctx)
		if err != nil {
			return err
		}
		p.OnStop("database", func(context.Context) error { return db.Close() })
		trail, err := o.Audit.Open(ctx, conn)
		if err != nil {
			return err
		}
		return trail.Act(ctx, domain.AuditRecord{Action: domain.AuditBackup}, func(*domain.AuditRecord) error {
			m, err = backup.Create(ctx, o.config(conn, db))
			return err
		})
	})
	return m, err
}

// Restore fills empty servers, or an empty data directory, with a backup. opened reports whether it got as far as writing.
func Restore(ctx context.Context, o CopyOptions) (m backup.Manifest, opened bool, err error) {
	err = runJob(ctx, o.Process, func(ctx context.Context, p *process.Process) error {
		if !o.Backends.NATS.inside() && o.Backends.Database.URL == "" {
			if _, err := lock(ctx, p, o.Backends.Database.DataDir); err != nil {
				return err
			}
		}
		conn, err := o.openNATS(ctx, p)
		if err != nil {
			return err
		}
		db, err := o.Backends.Database.open(ctx, p)
		if err != nil {
			return err
		}
		opened = true
		m, err = o.restore(ctx, p, conn, db)
		return err
	})
	return m, opened, err
}

// restore records the restore on the new system's audit trail, restores the backup, and migrates the result.
func (o CopyOptions) restore(ctx context.Context, p *process.Process, conn *nats.Conn, db store.Store) (m backup.Manifest, err error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return m, err
	}
	if err := streams.CreateAudit(ctx, js, streams.Config{Replicas: o.Replicas}); err != nil {
		return m, err
	}
	trail, err := o.Audit.Open(ctx, conn)
	if err != nil {
		return m, err
	}
	err = trail.Act(ctx, domain.AuditRecord{Action: domain.AuditRestore}, func(*domain.AuditRecord) error {
		m, err = backup.Restore(ctx, backup.RestoreConfig{Config: o.config(conn, db), Replicas: o.Replicas, DatabaseOnly: o.DatabaseOnly})
		if err != nil {
			return err
		}
		return migrate(ctx, p, &backends{conn: conn, db: db}, streams.Config{}, o.Audit)
	})
	return m, err
}

// openNATS connects to NATS servers, or starts NATS in the data directory.
func (o CopyOptions) openNATS(ctx context.Context, p *process.Process) (*nats.Conn, error) {
	if o.Backends.NATS.inside() {
		if _, err := lock(ctx, p, o.Backends.Database.DataDir); err != nil {
			return nil, err
		}
		conn, _, err := o.Backends.startNATS(ctx, p, "serve")
		return conn, err
	}
	conn, err := o.Backends.NATS.Dial("operator", o.Lacking)
	if err != nil {
		return nil, err
	}
	p.OnStop("connection to NATS", func(context.Context) error { conn.Close(); return nil })
	return conn, nil
}

func (o CopyOptions) config(conn *nats.Conn, db store.Store) backup.Config {
	return backup.Config{Dir: o.Dir, Conn: conn, Clients: db, Version: o.Process.Version, Progress: o.Progress}
}
