package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

type eventsReplayCmd struct {
	Since   moment `required:"" placeholder:"TIME" help:"Clients created then or later: by RFC 3339, or a duration ago such as 24h."`
	Until   moment `placeholder:"TIME" help:"Clients created before then (now)."`
	Subject string `placeholder:"SUBJECT" help:"Publish to the subscribers that listen on this subject now, and to no stream. Under client.replay. the operator of deploy/nats may do so."`

	askFlags `embed:""`
}

// replaySubject is a subject without wildcards.
var replaySubject = regexp.MustCompile(`^[^\s.*>$]+(\.[^\s.*>]+)*$`)

// Help is printed by --help.
func (*eventsReplayCmd) Help() string {
	return `Examples:

  # After a restore: everybody gets the events once more of the clients of the last two days
  clientele events replay --since 48h

  # For a subscriber that lost its data, which listens to client.replay.mailer now
  clientele events replay --since 2026-01-01T00:00:00Z --subject client.replay.mailer

It says how many, and asks.`
}

// Validate is called by the parser.
func (c *eventsReplayCmd) Validate() error {
	if c.Subject != "" && (!replaySubject.MatchString(c.Subject) || c.Subject == domain.SubjectCreated) {
		return errors.New("--subject must be one without wildcards, such as client.replay.mailer; without it the events go to their stream")
	}
	return nil
}

// Run publishes the events of clients once more.
func (c *eventsReplayCmd) Run(e env) error {
	if c.Until.IsZero() {
		c.Until.Time = time.Now()
	}
	clients, streams, closeAll, err := c.open(e)
	if err != nil {
		return err
	}
	defer closeAll()
	n, err := clients.Count(e.ctx, c.Since.Time, c.Until.Time)
	if err != nil {
		return err
	}
	to := "every subscriber of " + domain.SubjectCreated
	if c.Subject != "" {
		to = "the subscribers of " + c.Subject
	}
	done := 0
	if n > 0 {
		if yes, err := c.confirmed(e, fmt.Sprintf("Send %s of %d clients to %s?", domain.SubjectCreated, n, to), "sent"); !yes {
			return err
		}
		done, err = c.replay(e.ctx, clients, streams)
	}
	fmt.Fprintf(e.stdout, "events sent to %s: %d\n", to, done)
	return err
}

// replay publishes a page of events at a time, and returns how many it has published.
func (c *eventsReplayCmd) replay(ctx context.Context, clients store.Store, streams *publisher.Admin) (done int, err error) {
	const size = 500
	var after uuid.UUID
	for {
		page, err := clients.Page(ctx, c.Since.Time, c.Until.Time, after, size)
		if err != nil || len(page) == 0 {
			return done, err
		}
		events := make([]domain.Event, len(page))
		for i := range page {
			if events[i], err = domain.NewEvent(page[i]); err != nil {
				return done, err
			}
		}
		err = streams.Replay(ctx, events, c.Subject)
		if errors.Is(err, nats.ErrPermissionViolation) {
			<-ctx.Done() // the connection is about to say which right is lacking
			err = fmt.Errorf("publish to %s: %w", c.Subject, ctx.Err())
		}
		if err != nil {
			return done, err
		}
		done += len(page)
		after = page[len(page)-1].ID
	}
}
