package cli

import (
	"errors"
	"fmt"
	"time"

	"clientele/publisher/audit"
	"clientele/publisher/workers"

	"github.com/nats-io/nats.go/jetstream"
)

// pauseFlags are the flags of pause and resume.
type pauseFlags struct {
	operatorFlags `embed:"" group:"nats"`
	auditFlags    `embed:""`
}

// open returns what pauses the workers, and what records that. The caller closes the connection.
func (f *pauseFlags) open(e env) (jetstream.JetStream, *audit.Recorder, error) {
	nc, err := f.dial(e)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, err
	}
	trail, err := f.recorder(e.ctx, nc)
	if err != nil {
		nc.Close()
	}
	return js, trail, err
}

// pauseCmd pauses the workers.
type pauseCmd struct {
	For    time.Duration `default:"1h" placeholder:"DURATION" help:"How long the pause lasts unless clientele resume ends it: from 1s to 24h (${default})."`
	Reason string        `placeholder:"TEXT" help:"Why, for the audit trail and clientele status: up to 200 characters, without personal data."`

	pauseFlags `embed:""`
}

// Help is printed by --help.
func (*pauseCmd) Help() string {
	return `Examples:

  clientele pause --for 30m --reason "database maintenance"
  clientele resume

The pause applies to all workers, of any version, including those that start later. They finish the commands that they have. Ingresses
accept commands meanwhile, which wait on the log. A second pause replaces the first. The pause ends automatically after --for: one hour
by default, 24 hours at most.`
}

// Validate is called by the parser.
func (c *pauseCmd) Validate() error {
	if c.For < workers.MinPause || c.For > workers.MaxPause {
		return errors.New("--for must be from 1s to 24h")
	}
	if err := checkRemark(c.Reason); err != nil {
		return fmt.Errorf("--reason %w", err)
	}
	return nil
}

// Run pauses the workers.
func (c *pauseCmd) Run(e env) error {
	js, trail, err := c.open(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	until, err := workers.Pause(e.ctx, js, trail, c.For, c.Reason)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "paused until %s; run clientele resume to end it sooner\n", until.Format(time.RFC3339))
	return err
}

// resumeCmd ends a pause.
type resumeCmd struct{ pauseFlags }

// Help is printed by --help.
func (*resumeCmd) Help() string {
	return `Examples:

  clientele resume

The workers continue at once. If they were not paused, it changes nothing.`
}

// Run ends the pause.
func (c *resumeCmd) Run(e env) error {
	js, trail, err := c.open(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	paused, err := workers.Resume(e.ctx, js, trail)
	switch {
	case err != nil:
		return err
	case paused == nil:
		_, err = fmt.Fprintln(e.stdout, "the workers were not paused")
	default:
		_, err = fmt.Fprintf(e.stdout, "resumed; the pause would have lasted until %s\n", paused.Until.Format(time.RFC3339))
	}
	return err
}
