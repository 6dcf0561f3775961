package cli

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"clientele/publisher/audit"
	"clientele/publisher/endpoint"
	"clientele/publisher/subscription"
)

type webhooksSetCmd struct {
	webhookArg    `embed:""`
	URL           string `name:"url" env:"-" placeholder:"URL" help:"URL to which events are posted from now on."`
	receiverFlags `embed:""`
	webhookFlags  `embed:""`
}

// Help is printed by --help.
func (*webhooksSetCmd) Help() string {
	return `Examples:

  clientele webhooks set crm --url https://crm.example.com/v2/clients
  clientele webhooks set crm --in-flight 4

Settings that you do not pass stay unchanged.`
}

// Validate is called by the parser.
func (c *webhooksSetCmd) Validate() error {
	if c.URL == "" && c.GiveUpAfter == nil && c.DisableAfter == nil && c.InFlight == nil {
		return errors.New("pass --url, --give-up-after, --disable-after or --in-flight")
	}
	var wrong error
	if c.URL != "" {
		wrong = c.checkURL(c.URL)
	}
	return cmp.Or(c.webhookArg.validate(), c.receiverFlags.validate(), wrong)
}

// Run changes the endpoint.
func (c *webhooksSetCmd) Run(e env) error {
	return c.change(e, c.Name, endpoint.AuditSet, "changed webhook %s", func(o opened) error {
		o.URL = cmp.Or(c.URL, o.URL)
		c.apply(&o.Settings)
		return o.Bucket.Set(e.ctx, o.Endpoint)
	})
}

type webhooksPauseCmd struct {
	webhookArg   `embed:""`
	webhookFlags `embed:""`
}

// Help is printed by --help.
func (*webhooksPauseCmd) Help() string {
	return `Examples:

  clientele webhooks pause crm

Requests in progress complete. Events wait until clientele webhooks resume, as long as the stream keeps them (--event-retention).`
}

// Validate is called by the parser.
func (c *webhooksPauseCmd) Validate() error { return c.validate() }

// Run pauses the endpoint.
func (c *webhooksPauseCmd) Run(e env) error {
	err := c.recorded(e, c.Name, func(o opened, trail *audit.Recorder) error { return o.Pause(e.ctx, trail) })
	if err == nil {
		_, err = fmt.Fprintf(e.stderr, "paused webhook %s\n", c.Name)
	}
	return err
}

type webhooksResumeCmd struct {
	webhookArg   `embed:""`
	webhookFlags `embed:""`
}

// Help is printed by --help.
func (*webhooksResumeCmd) Help() string {
	return `Examples:

  clientele webhooks resume crm

The waiting events are delivered. A lost consumer is created again at its last position.`
}

// Validate is called by the parser.
func (c *webhooksResumeCmd) Validate() error { return c.validate() }

// Run resumes the endpoint.
func (c *webhooksResumeCmd) Run(e env) error {
	err := c.recorded(e, c.Name, func(o opened, trail *audit.Recorder) error { return o.Resume(e.ctx, trail) })
	if err == nil {
		_, err = fmt.Fprintf(e.stderr, "resumed webhook %s\n", c.Name)
	}
	return err
}

type webhooksRotateCmd struct {
	webhookArg   `embed:""`
	Overlap      time.Duration `default:"24h" placeholder:"DURATION" help:"How long requests are also signed with the former secret (${default}); 0s if it has leaked, which ends all former secrets."`
	secretFlag   `embed:""`
	webhookFlags `embed:""`
}

// Help is printed by --help.
func (*webhooksRotateCmd) Help() string {
	return `Examples:

  clientele webhooks rotate crm
  clientele webhooks rotate crm --overlap 0s

During the overlap each request has a signature with each secret, so the receiver can change its secret at any time. If you rotate again
during an overlap, each former secret signs until its own end: up to four, so that no rotation stops a receiver early.`
}

// Validate is called by the parser.
func (c *webhooksRotateCmd) Validate() error {
	if c.Overlap < 0 {
		return errors.New("--overlap must not be negative")
	}
	return c.validate()
}

// Run replaces the secret.
func (c *webhooksRotateCmd) Run(e env) error {
	key, generated, err := c.key()
	if err != nil {
		return err
	}
	err = c.change(e, c.Name, endpoint.AuditRotate, "webhook %s has a new secret", func(o opened) error {
		return o.Bucket.Rotate(e.ctx, o.Endpoint, key, c.Overlap)
	})
	if err != nil && !wasDone(err) {
		return err
	}
	return errors.Join(err, printSecret(e, generated))
}

type webhooksRmCmd struct {
	webhookArg   `embed:""`
	confirmFlags `embed:""`
	webhookFlags `embed:""`
}

// Help is printed by --help.
func (*webhooksRmCmd) Help() string {
	return `Examples:

  clientele webhooks rm crm

Its consumer, its position and the records of its deliveries are removed. The events stay on the stream.`
}

// Validate is called by the parser.
func (c *webhooksRmCmd) Validate() error { return c.validate() }

// Run removes the endpoint.
func (c *webhooksRmCmd) Run(e env) error {
	if err := c.checkTerminal(e); err != nil {
		return err
	}
	o, err := c.openOne(e, c.Name)
	if err != nil {
		return err
	}
	defer o.close()
	waiting := 0
	if consumer, err := subscription.Open(e.ctx, o.JetStream, c.Name); err == nil {
		waiting = int(consumer.CachedInfo().NumPending) + consumer.CachedInfo().NumAckPending
	}
	yes, err := c.confirmed(e, fmt.Sprintf("Remove webhook %s, for which %s are waiting?", c.Name, countOf(waiting, "event")), "removed")
	if !yes {
		return err
	}
	return c.change(e, c.Name, endpoint.AuditRemove, "removed webhook %s", func(o opened) error {
		// The endpoint first: without it, no process creates the consumer again.
		if err := o.Bucket.Remove(e.ctx, o.Name); err != nil {
			return err
		}
		err := subscription.Delete(e.ctx, o.JetStream, o.Name)
		if _, missing := errors.AsType[*subscription.MissingError](err); missing {
			return nil
		}
		return err
	})
}
