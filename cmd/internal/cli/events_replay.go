package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/subscription"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

type eventsReplayCmd struct {
	Since   timeFlag `required:"" placeholder:"TIME" help:"Only clients created at this time or later: a time (RFC 3339) or a duration before now, such as 24h."`
	Until   timeFlag `placeholder:"TIME" help:"Only clients created before this time; by default now."`
	Subject string   `placeholder:"SUBJECT" help:"Publish to the current subscribers of this subject instead of the stream. The operator user of deploy/nats may publish to subjects that begin with client.replay."`

	askFlags `embed:""`
}

// replayPrefix is the prefix of the subjects of single subscribers, such as in deploy/nats.
const replayPrefix = "client.replay."

// replaySubject is a subject without wildcards.
var replaySubject = regexp.MustCompile(`^[^\s.*>$]+(\.[^\s.*>]+)*$`)

// Help is printed by --help.
func (*eventsReplayCmd) Help() string {
	return `Examples:

  # After a restore: publish the events of the last two days again, to all subscribers
  clientele events replay --since 48h

  # For one subscriber that has lost its data and is subscribed to client.replay.mailer now
  clientele events replay --since 2026-01-01T00:00:00Z --subject client.replay.mailer

The command prints how many events it will publish and asks for confirmation. Subscribers recognise repeated events by their ce-id.
Events on client.replay.NAME have no body if the consumer NAME has --event-fields id-only.`
}

// Validate is called by the parser.
func (c *eventsReplayCmd) Validate() error {
	if c.Subject != "" && (!replaySubject.MatchString(c.Subject) || c.Subject == domain.SubjectCreated) {
		return errors.New("--subject must be a subject without wildcards, such as client.replay.mailer; without the flag, events are published to their stream")
	}
	return c.databaseFlags.Validate()
}

// Run publishes the events of clients again.
func (c *eventsReplayCmd) Run(e env) error {
	since, until := c.Since.past(), time.Now()
	if c.Until.isSet() {
		until = c.Until.past()
	}
	clients, streams, closeAll, err := c.open(e)
	if err != nil {
		return err
	}
	defer closeAll()
	n, err := clients.Count(e.ctx, since, until)
	if err != nil {
		return err
	}
	to := "every subscriber of " + domain.SubjectCreated
	if c.Subject != "" {
		to = "the subscribers of " + c.Subject
	}
	done := 0
	if n > 0 {
		if yes, err := c.confirmed(e, fmt.Sprintf("Publish %s of %s to %s?", domain.SubjectCreated, countOf(n, "client"), to), "published"); !yes {
			return err
		}
		done, err = c.recorded(e, n, clients, streams, since, until)
	}
	fmt.Fprintf(e.stdout, "events published to %s: %d\n", to, done)
	return err
}

// recorded replays the events of n clients, and records that.
func (c *eventsReplayCmd) recorded(e env, n int, clients store.Store, streams *publisher.Admin, since, until time.Time) (done int, err error) {
	trail, err := c.recorder(e.ctx, streams.JetStream().Conn())
	if err != nil {
		return 0, err
	}
	err = trail.Act(e.ctx, domain.AuditRecord{Action: domain.AuditReplay, Count: int64(n)}, func(end *domain.AuditRecord) error {
		done, err = c.replay(e.ctx, clients, streams, since, until)
		end.Count = int64(done)
		return err
	})
	return done, err
}

// replay publishes a page of events at a time, and returns how many it has published.
func (c *eventsReplayCmd) replay(ctx context.Context, clients store.Store, streams *publisher.Admin, since, until time.Time) (done int, err error) {
	const size = 500
	var after uuid.UUID
	for {
		page, err := clients.Page(ctx, since, until, after, size)
		if err != nil || len(page) == 0 {
			return done, err
		}
		events, err := c.events(ctx, streams, page)
		if err != nil {
			return done, err
		}
		err = streams.Replay(ctx, events, c.Subject)
		if errors.Is(err, nats.ErrPermissionViolation) {
			<-ctx.Done() // the connection is about to report which right is missing
			err = fmt.Errorf("publish to %s: %w", c.Subject, ctx.Err())
		}
		if err != nil {
			return done, err
		}
		done += len(page)
		after = page[len(page)-1].ID
	}
}

// events returns the events of clients. Those for a subscriber that receives no bodies have none.
func (c *eventsReplayCmd) events(ctx context.Context, streams *publisher.Admin, clients []domain.Client) (events []domain.Event, err error) {
	idOnly := false
	if name, ok := strings.CutPrefix(c.Subject, replayPrefix); ok && subscriptionName.MatchString(name) {
		if idOnly, err = subscription.IsIDOnly(ctx, streams.JetStream(), name); err != nil {
			return nil, err
		}
	}
	events = make([]domain.Event, len(clients))
	for i := range clients {
		if events[i], err = domain.NewEvent(clients[i]); err != nil {
			return nil, err
		}
		if idOnly {
			events[i].Body = nil
		}
	}
	return events, nil
}
