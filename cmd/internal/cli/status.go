package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"clientele/cmd/internal/inspect"
)

// statusCmd shows the state of an installation.
type statusCmd struct {
	JSON     bool          `name:"json" help:"Print one JSON object per sample instead of a screen."`
	Watch    bool          `short:"w" help:"Refresh until interrupted. On a terminal, the screen is redrawn; elsewhere, each sample is a line."`
	Interval time.Duration `default:"1s" help:"Time between samples, over which rates are averaged (${default})."`

	lookFlags `embed:""`
}

// Help is printed by --help.
func (*statusCmd) Help() string {
	return `Examples:

  # The serve that runs in ./clientele-data
  clientele status
  clientele status --watch

  # Separate servers, with the operator's rights
  clientele status --nats-url nats://operator@nats.example.com --database-url postgres://clientele_operator@db.example.com/clientele

  # For programs: how many commands wait
  clientele status --json | jq .commands.backlog

status reads only NATS and the database, so it works while no process runs. Processes announce themselves on NATS every second, with
their responses, batches and times of the last ten seconds. Without --watch, it takes two samples. The log also has a few messages that
ingresses add for retries and look-ups; accepted counts them. status changes nothing, and prints no client data.

Exit status: 0 if Clientele works (warnings are printed), 3 if something has failed, 1 if NATS cannot be reached or refuses a right, and 2
for a wrong command line. With --watch, it is 0 after an interruption.`
}

// Validate is called by the parser.
func (c *statusCmd) Validate() error {
	if c.Interval < 100*time.Millisecond || c.Interval > time.Hour {
		return errors.New("--interval must be from 100ms to 1h")
	}
	return c.databaseFlags.Validate()
}

// Run shows the state.
func (c *statusCmd) Run(e env) error {
	l, err := c.open(e)
	if err != nil {
		return err
	}
	defer l.close()
	if l.NATSError != nil {
		return l.NATSError
	}
	looker, err := inspect.New(l.Config)
	if err != nil {
		return err
	}
	defer looker.Close()
	if c.Watch {
		return c.watch(e, l, looker)
	}
	if _, err := looker.Look(e.ctx); err != nil {
		return err
	}
	if !pause(e.ctx, c.Interval) {
		return errors.New("interrupted")
	}
	s, err := looker.Look(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(e, s)
	} else {
		_, err = io.WriteString(e.stdout, statusScreen(s, paintFor(e)))
	}
	if err == nil && s.Health == inspect.Fail {
		return errUnhealthy
	}
	return err
}

// watch shows the state until the context ends. It goes on while NATS cannot be reached, and connects again.
func (c *statusCmd) watch(e env, l *looked, looker *inspect.Looker) error {
	for {
		s, err := looker.Look(e.ctx)
		if e.ctx.Err() != nil {
			return nil //nolint:nilerr // an interruption ends it
		}
		if err := c.show(e, s, err); err != nil {
			return err
		}
		if !pause(e.ctx, c.Interval) {
			return nil
		}
		if c.reconnect(l) {
			if looker, err = inspect.New(l.Config); err != nil {
				return err
			}
		}
	}
}

// show shows one look of several.
func (c *statusCmd) show(e env, s inspect.Status, failed error) error {
	var err error
	switch {
	case failed != nil:
		failed = advise(failed)
		fmt.Fprintf(e.stderr, "%s  cannot look: %v\n", s.At.Format(time.TimeOnly), failed)
	case c.JSON:
		err = printJSON(e, s)
	case isTerminal(e.stdout):
		_, err = io.WriteString(e.stdout, redraw(statusScreen(s, paintFor(e))))
	default:
		_, err = fmt.Fprintln(e.stdout, statusLine(s))
	}
	return err
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
