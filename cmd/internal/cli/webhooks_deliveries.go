package cli

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"clientele/publisher/endpoint"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

type webhooksDeliveriesCmd struct {
	webhookArg    `embed:""`
	Failed        bool     `help:"Only deliveries that failed."`
	GivenUp       bool     `help:"The events that were given up and not redelivered, however old, instead of the last deliveries."`
	Since         timeFlag `placeholder:"TIME" help:"Only deliveries from this time on: a time (RFC 3339) or a duration before now, such as 1h."`
	JSON          bool     `name:"json" help:"Print one JSON object per line instead of a table."`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*webhooksDeliveriesCmd) Help() string {
	return `Examples:

  clientele webhooks deliveries crm --since 1h
  clientele webhooks deliveries crm --failed --json
  clientele webhooks deliveries crm --given-up

EVENT is the sequence of the event on the stream CLIENT_EVENTS, where it stays until it expires or its client is erased; 0 is a test. ATTEMPT 0
was requested by an operator. Up to 25 deliveries a second are recorded, failures first, for up to seven days.`
}

// Validate is called by the parser.
func (c *webhooksDeliveriesCmd) Validate() error {
	if c.GivenUp && (c.Failed || c.Since.isSet()) {
		return errors.New("--given-up cannot be combined with --failed and --since")
	}
	return c.validate()
}

// Run lists the deliveries.
func (c *webhooksDeliveriesCmd) Run(e env) error {
	o, err := webhookFlags{operatorFlags: c.operatorFlags}.openOne(e, c.Name)
	if err != nil {
		return err
	}
	defer o.close()
	if c.GivenUp {
		return list[subscription.Undelivered]{
			unit: "event", header: []string{"EVENT", "CLIENT", "ATTEMPTS", "GIVEN UP AT", "REASON"},
			columns: undeliveredColumns, json: func(u subscription.Undelivered) error { return printUndeliveredJSON(e, u) },
		}.write(e, subscription.ListUndelivered(e.ctx, o.JetStream, c.Name), c.JSON)
	}
	return list[endpoint.Delivery]{
		unit: "attempt", header: []string{"TIME", "EVENT", "TYPE", "CLIENT", "ATTEMPT", "RESULT", "STATUS", "LATENCY", "ERROR"},
		columns: deliveryColumns, json: func(d endpoint.Delivery) error { return printJSON(e, d) },
	}.write(e, c.deliveries(e, o.JetStream), c.JSON)
}

func (c *webhooksDeliveriesCmd) deliveries(e env, js jetstream.JetStream) iter.Seq2[endpoint.Delivery, error] {
	return func(yield func(endpoint.Delivery, error) bool) {
		for d, err := range endpoint.Deliveries(e.ctx, js, c.Name, c.Since.past()) {
			if err == nil && c.Failed && d.Result == endpoint.Delivered {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

func deliveryColumns(d endpoint.Delivery) []string {
	return []string{
		d.Time.UTC().Format(time.RFC3339), strconv.FormatUint(d.Event, 10), display(d.Type), display(d.ClientID), strconv.FormatUint(d.Attempt, 10),
		display(string(d.Result)), statusText(d), fmt.Sprintf("%.1f ms", d.Millis), display(d.Error),
	}
}

func statusText(d endpoint.Delivery) string {
	if d.Status == 0 {
		return "-"
	}
	return strconv.Itoa(d.Status)
}

func undeliveredColumns(u subscription.Undelivered) []string {
	return []string{
		strconv.FormatUint(u.Sequence, 10), display(u.ClientID), strconv.FormatUint(u.Attempts, 10), u.Time.UTC().Format(time.RFC3339), display(u.Reason),
	}
}

func printUndeliveredJSON(e env, u subscription.Undelivered) error {
	return printJSON(e, struct {
		Event     uint64    `json:"event"`
		ClientID  string    `json:"clientId"`
		Attempts  uint64    `json:"attempts"`
		GivenUpAt time.Time `json:"givenUpAt"`
		Reason    string    `json:"reason"`
	}{u.Sequence, display(u.ClientID), u.Attempts, u.Time.UTC(), display(u.Reason)})
}
