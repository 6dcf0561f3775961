package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"clientele/domain"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

// eventsFailedCmd are the tools for events that subscribers have not accepted.
type eventsFailedCmd struct {
	Ls    eventsFailedLsCmd    `cmd:"" help:"List the events that were given up, oldest first."`
	Retry eventsFailedRetryCmd `cmd:"" help:"Publish the given-up events of a subscriber again."`
}

type eventsFailedLsCmd struct {
	Name          string `arg:"" optional:"" help:"Name of the durable consumer; by default all."`
	JSON          bool   `name:"json" help:"Print one JSON object per line instead of a table."`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*eventsFailedLsCmd) Help() string {
	return `Examples:

  clientele events failed ls
  clientele events failed ls crm --json

EVENT is the sequence of the event on the stream CLIENT_EVENTS, where it stays until it expires or its client is erased.`
}

// Validate is called by the parser.
func (c *eventsFailedLsCmd) Validate() error {
	if c.Name == "" {
		return nil
	}
	return subscriptionArg{c.Name}.validate()
}

// Run lists the events.
func (c *eventsFailedLsCmd) Run(e env) error {
	js, err := c.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	return list[subscription.Undelivered]{
		unit: "event", header: []string{"NAME", "EVENT", "CLIENT", "ATTEMPTS", "GIVEN UP AT", "REASON"},
		columns: undeliveredColumns, json: func(u subscription.Undelivered) error { return printUndeliveredJSON(e, u) },
	}.write(e, subscription.ListUndelivered(e.ctx, js, c.Name), c.JSON)
}

func undeliveredColumns(u subscription.Undelivered) []string {
	return []string{
		display(u.Name), strconv.FormatUint(u.Sequence, 10), display(u.ClientID), strconv.FormatUint(u.Attempts, 10),
		u.Time.UTC().Format(time.RFC3339), display(u.Reason),
	}
}

func printUndeliveredJSON(e env, u subscription.Undelivered) error {
	return printJSON(e, struct {
		Name      string    `json:"name"`
		Event     uint64    `json:"event"`
		ClientID  string    `json:"clientId"`
		Attempts  uint64    `json:"attempts"`
		GivenUpAt time.Time `json:"givenUpAt"`
		Reason    string    `json:"reason"`
	}{display(u.Name), u.Sequence, display(u.ClientID), u.Attempts, u.Time.UTC(), display(u.Reason)})
}

type eventsFailedRetryCmd struct {
	subscriptionArg `embed:""`
	confirmFlags    `embed:""`
	operatorFlags   `embed:"" group:"nats"`
	auditFlags      `embed:""`
}

// Help is printed by --help.
func (*eventsFailedRetryCmd) Help() string {
	return `Examples:

  clientele events failed retry crm

Correct the receiver first. Every subscriber receives the events again, and recognises them by their ce-id. You can repeat the command
after an interruption.`
}

// Validate is called by the parser.
func (c *eventsFailedRetryCmd) Validate() error { return c.validate() }

// Run publishes the events again.
func (c *eventsFailedRetryCmd) Run(e env) error {
	if err := c.checkTerminal(e); err != nil {
		return err
	}
	js, err := c.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	var failed []subscription.Undelivered
	for u, err := range subscription.ListUndelivered(e.ctx, js, c.Name) {
		if err != nil {
			return err
		}
		failed = append(failed, u)
	}
	if len(failed) > 0 {
		if yes, err := c.confirmed(e, fmt.Sprintf("Publish %s again?", countOf(len(failed), "event")), "published"); !yes {
			return err
		}
	}
	return c.retry(e, js, failed)
}

// retry publishes the events again, and records that.
func (c *eventsFailedRetryCmd) retry(e env, js jetstream.JetStream, failed []subscription.Undelivered) error {
	trail, err := c.recorder(e.ctx, js.Conn())
	if err != nil {
		return err
	}
	published := 0
	record := domain.AuditRecord{Action: domain.AuditReplay, Target: c.Name, Count: int64(len(failed))}
	err = trail.Act(e.ctx, record, func(end *domain.AuditRecord) error {
		var err error
		for i := 0; err == nil && i < len(failed); i++ {
			var existed bool
			if existed, err = subscription.Retry(e.ctx, js, failed[i]); existed && err == nil {
				published++
			}
		}
		end.Count = int64(published)
		return err
	})
	if e.ctx.Err() != nil {
		err = errors.New("interrupted: run this again to publish the others")
	}
	fmt.Fprintf(e.stdout, "events published again: %d\n", published)
	if gone := len(failed) - published; err == nil && gone > 0 {
		fmt.Fprintf(e.stdout, "events that have expired or whose clients were erased: %d\n", gone)
	}
	return err
}
