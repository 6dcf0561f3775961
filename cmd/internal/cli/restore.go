package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/backup"
)

// restoreCmd restores a backup into empty servers or an empty data directory.
type restoreCmd struct {
	Replicas int `placeholder:"N" help:"NATS servers that keep each message: 1, 3 or 5; by default as in the backup."`

	DatabaseOnly bool `help:"Restore only the database, beside the streams that the backup is a copy of. Run redo afterwards."`

	copyFlags `embed:""`
}

// Help is printed by --help.
func (*restoreCmd) Help() string {
	return `Examples:

  # Into an empty NATS and an empty database, before you start any other clientele process
  clientele restore backup-monday --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

  # Into a data directory for clientele serve
  clientele restore backup-monday --data-dir clientele-data

  # Only the database was lost: nothing accepted since the backup is lost
  clientele restore backup-monday --database-only --nats-url nats://… --database-url postgres://…
  clientele redo --nats-url nats://… --database-url postgres://…
  clientele erase --reapply --yes --nats-url nats://… --database-url postgres://…

The backup is checked before anything is written, and nothing is overwritten: streams with messages and a database with clients
are refused. After an interruption, run it again. A backup of serve can be restored into servers, and vice versa.

Restoring brings back clients that were erased since the backup. Start Clientele, then run clientele erase --reapply --from FILE with
their ids, such as from your audit log.`
}

// Validate is called by the parser.
func (c *restoreCmd) Validate() error {
	if !slices.Contains([]int{0, 1, 3, 5}, c.Replicas) {
		return errors.New("--replicas must be 1, 3 or 5")
	}
	if c.DatabaseOnly && c.Replicas != 0 {
		return errors.New("--database-only does not create streams: leave out --replicas")
	}
	return c.databaseFlags.Validate()
}

// Run restores the backup.
func (c *restoreCmd) Run(e env) error {
	if err := c.oneSystem(c.NatsURL, c.url()); err != nil {
		return err
	}
	if _, err := backup.ReadManifest(c.Dir); err != nil { // before a data directory is created
		return err
	}
	began := time.Now()
	o, progress := c.options(e)
	o.Replicas, o.DatabaseOnly = c.Replicas, c.DatabaseOnly
	m, opened, err := app.Restore(e.ctx, o)
	progress.end()
	_, refused := errors.AsType[*backup.RefusedError](err)
	switch {
	case errors.Is(err, app.ErrInterrupted):
		return errors.New("interrupted: the restore is not complete, run it again with the same backup")
	case refused:
		return fmt.Errorf("%w; nothing was restored", err)
	case err != nil && opened:
		return fmt.Errorf("%w; the restore is not complete: remove the cause, and run it again with the same backup", err)
	case err != nil:
		return err
	}
	if c.DatabaseOnly {
		fmt.Fprintf(e.stdout, "restored the database of %s with %s; run clientele redo, then clientele erase --reapply\n",
			m.Began.Format(time.RFC3339), countOf(m.Rows, "client"))
		return nil
	}
	summarize(e.stdout, m)
	fmt.Fprintf(e.stdout, "restored the backup of %s in %s", m.Began.Format(time.RFC3339), time.Since(began).Round(100*time.Millisecond))
	if m.EventsMissing > 0 {
		fmt.Fprintf(e.stdout, "; published %d events that the backup did not have", m.EventsMissing)
	}
	fmt.Fprint(e.stdout, "\nClients erased since then exist again: list their ids in a file, start Clientele, and run clientele erase --reapply --from FILE.\n")
	return nil
}
