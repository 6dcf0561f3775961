package cli

import (
	"context"

	"clientele/cmd/internal/process"
	"clientele/store"

	"github.com/nats-io/nats.go"
)

// The commands that run on servers outside.

// run runs a role until the context ends. It waits for servers that are away, and refuses servers that are not set up for
// this version.
func (f externalFlags) run(e env, pf *processFlags, role string,
	start func(context.Context, *process.Process, *nats.Conn, store.Store) ([]process.Check, error),
) error {
	p := process.New(pf.logger(e), pf.ShutdownTimeout)
	return p.Run(e.ctx, func(ctx context.Context) error {
		admin, err := pf.start(ctx, p, e)
		if err != nil {
			return err
		}
		db, err := f.databaseFlags.open(ctx, p)
		if err != nil {
			return err
		}
		conn, err := f.connect(ctx, p, role)
		if err != nil {
			return err
		}
		checks, err := start(ctx, p, conn, db)
		if err != nil {
			return err
		}
		admin.Start(advised(checks))
		p.Log.Info().Msg("ready")
		return nil
	})
}
