package cli

import (
	"fmt"

	"clientele/cmd/internal/repair"
	"clientele/domain"
)

// redoCmd makes clients and events again that the database or the events stream has lost.
type redoCmd struct {
	Since  timeFlag `placeholder:"TIME" help:"Only events and commands published at this time or later: a time (RFC 3339) or a duration before now, such as 24h; by default all."`
	DryRun bool     `help:"Count what is missing, and change nothing."`

	systemFlags `embed:""`
}

// Help is printed by --help.
func (*redoCmd) Help() string {
	return `Examples:

  clientele redo --dry-run
  clientele redo --since 48h --nats-url nats://… --database-url postgres://…

Use it after a database lost what it had committed: an asynchronous standby took its place, or you restored an older backup of the
database alone. Workers notice both and do the same for the events since then, so you need redo only to be sure, or if no worker could.

Clients without a row are stored again from their events or, if the event is also missing, from the commands on the log. Events that are
missing are published. Erased clients stay erased. Workers can run meanwhile, and you can run redo again at any time.`
}

// Validate is called by the parser.
func (c *redoCmd) Validate() error { return c.databaseFlags.Validate() }

// Run repairs what is missing.
func (c *redoCmd) Run(e env) error {
	db, nc, closeAll, err := c.connect(e)
	if err != nil {
		return err
	}
	defer closeAll()
	progress := newCopyProgress(e.stderr)
	cfg := repair.Config{Conn: nc, Store: db, DryRun: c.DryRun, Progress: progress.show}
	if c.Since.isSet() {
		cfg.Since = c.Since.past()
	}
	var done repair.Result
	run := func() (err error) {
		done, err = repair.Run(e.ctx, cfg)
		progress.end()
		return err
	}
	if c.DryRun {
		err = run()
	} else {
		err = c.act(e.ctx, nc, domain.AuditRecord{Action: domain.AuditRedo}, run)
	}
	c.print(e, done)
	return err
}

func (c *redoCmd) print(e env, done repair.Result) {
	restored, published := "restored", "published"
	if c.DryRun {
		restored, published = "to restore", "to publish"
	}
	fmt.Fprintf(e.stdout, "events read: %d\n", done.Events)
	fmt.Fprintf(e.stdout, "clients %s from events: %d\n", restored, done.FromEvents)
	fmt.Fprintf(e.stdout, "clients %s from commands: %d\n", restored, done.FromCommands)
	fmt.Fprintf(e.stdout, "events %s: %d\n", published, done.Published)
	if done.Unreadable > 0 {
		fmt.Fprintf(e.stderr, "%s of another version: run redo of that version\n", countOf(done.Unreadable, "event"))
	}
	for _, id := range done.Erased {
		fmt.Fprintf(e.stderr, "client %s was erased, but the database has lost that: erase it again\n", id)
	}
}
