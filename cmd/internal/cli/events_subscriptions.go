package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"clientele/domain"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

// subscriptionName is the name of a durable consumer: one token of a subject.
var subscriptionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

const wrongSubscriptionName = "must be up to 64 letters, digits, hyphens and underscores"

// subscriptionArg is the name of a subscriber's durable consumer.
type subscriptionArg struct {
	Name string `arg:"" help:"Name of the durable consumer."`
}

func (a subscriptionArg) validate() error {
	if !subscriptionName.MatchString(a.Name) {
		return errors.New("the name " + wrongSubscriptionName)
	}
	return nil
}

// jetStream returns the streams for an operator. The caller closes their connection.
func (f operatorFlags) jetStream(e env) (jetstream.JetStream, error) {
	nc, err := f.dial(e)
	if err != nil {
		return nil, err
	}
	return jetstream.New(nc)
}

type eventsSubscribeCmd struct {
	subscriptionArg `embed:""`
	Since           timeFlag `placeholder:"TIME" help:"Begin with events published at this time: a time (RFC 3339) or a duration before now, such as 24h. By default, continue where a lost consumer with this name was, or else begin with the next event."`
	Only            string   `enum:",created,erased" default:"" placeholder:"TYPE" help:"Deliver only client.created (created) or only client.erased (erased); by default both."`
	EventFields     string   `enum:",full,id-only" default:"" placeholder:"FIELDS" help:"full: the whole record, the default of a new consumer; id-only: no body, only the ids, the type and the time. Also changes an existing consumer."`

	operatorFlags `embed:"" group:"nats"`
	auditFlags    `embed:""`
}

// Help is printed by --help.
func (*eventsSubscribeCmd) Help() string {
	return `Examples:

  clientele events subscribe mailer
  clientele events subscribe crm --since 24h --only created
  clientele events subscribe newsletter --event-fields id-only

The consumer remembers which events the subscriber has acknowledged. The subscriber opens the consumer by its name on the stream
CLIENT_EVENTS, with the NATS user of its own account: see MAILER in deploy/nats/accounts.conf. With --event-fields id-only, NATS sends
it no body: the subscriber gets each client from the API, with its own key. To change that later, run the command again with no other
flag; the position stays.`
}

// Validate is called by the parser.
func (c *eventsSubscribeCmd) Validate() error { return c.validate() }

// Run creates the consumer.
func (c *eventsSubscribeCmd) Run(e env) error {
	js, err := c.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	cfg := subscription.Config{Name: c.Name, Since: c.Since.past()}
	switch c.Only {
	case "created":
		cfg.Subjects = []string{domain.SubjectCreated}
	case "erased":
		cfg.Subjects = []string{domain.SubjectErased}
	}
	cfg.IDOnly = c.EventFields == idOnly
	done := "created consumer %s of stream %s"
	err = c.act(e.ctx, js.Conn(), domain.AuditRecord{Action: domain.AuditSubscribe, Target: c.Name}, func() error {
		consumer, err := subscription.Create(e.ctx, js, cfg)
		if _, exists := errors.AsType[*subscription.ExistingError](err); exists && c.changesFields() {
			done = "changed consumer %s of stream %s"
			return subscription.SetIDOnly(e.ctx, js, c.Name, cfg.IDOnly)
		}
		if err == nil && consumer.CachedInfo().Config.OptStartSeq > 0 {
			done += ", which continues where the last one was"
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, done+"\n", c.Name, domain.StreamEvents)
	return err
}

// changesFields reports whether the flags can change an existing consumer.
func (c *eventsSubscribeCmd) changesFields() bool {
	return c.EventFields != "" && c.Only == "" && !c.Since.isSet()
}

// idOnly is the value of --event-fields for a consumer that receives no bodies.
const idOnly = "id-only"

// fieldsOf returns the value of --event-fields for a consumer.
func fieldsOf(withoutBodies bool) string {
	if withoutBodies {
		return idOnly
	}
	return "full"
}

type eventsUnsubscribeCmd struct {
	subscriptionArg `embed:""`
	confirmFlags    `embed:""`
	operatorFlags   `embed:"" group:"nats"`
	auditFlags      `embed:""`
}

// Help is printed by --help.
func (*eventsUnsubscribeCmd) Help() string {
	return `Examples:

  clientele events unsubscribe mailer

The subscriber receives no further events. Its position is lost; the events stay on the stream. For a webhook, use clientele webhooks rm.`
}

// Validate is called by the parser.
func (c *eventsUnsubscribeCmd) Validate() error { return c.validate() }

// Run deletes the consumer.
func (c *eventsUnsubscribeCmd) Run(e env) error {
	if err := c.checkTerminal(e); err != nil {
		return err
	}
	js, err := c.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	consumer, err := subscription.Open(e.ctx, js, c.Name)
	if missing, ok := errors.AsType[*subscription.MissingError](err); ok {
		return &advisedError{missing.Error() + ": see clientele events ls", err}
	}
	if err != nil {
		return err
	}
	waiting := countOf(int(consumer.CachedInfo().NumPending), "event")
	yes, err := c.confirmed(e, fmt.Sprintf("Delete consumer %s, for which %s are waiting? Its position will be lost.", c.Name, waiting), "deleted")
	if !yes {
		return err
	}
	if err := c.act(e.ctx, js.Conn(), domain.AuditRecord{Action: domain.AuditUnsubscribe, Target: c.Name}, func() error {
		return subscription.Delete(e.ctx, js, c.Name)
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "deleted consumer %s of stream %s\n", c.Name, domain.StreamEvents)
	return err
}

type eventsLsCmd struct {
	JSON          bool `name:"json" help:"Print one JSON object per line instead of a table."`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*eventsLsCmd) Help() string {
	return `Examples:

  clientele events ls
  clientele events ls --json | jq 'select(.pending > 1000).name'

PENDING events were not delivered yet; UNACKNOWLEDGED ones were delivered, but the subscriber has not acknowledged them.`
}

// Run lists the consumers.
func (c *eventsLsCmd) Run(e env) error {
	js, err := c.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	return list[subscription.State]{
		unit: "consumer", header: []string{"NAME", "FIELDS", "PENDING", "UNACKNOWLEDGED", "LAST DELIVERY"},
		columns: subscriptionColumns, json: func(s subscription.State) error { return printSubscriptionJSON(e, s) },
	}.write(e, subscription.List(e.ctx, js), c.JSON)
}

func subscriptionColumns(s subscription.State) []string {
	delivered := "-"
	if !s.Delivered.IsZero() {
		delivered = s.Delivered.UTC().Format(time.RFC3339)
	}
	return []string{
		display(s.Name), fieldsOf(s.IDOnly), strconv.FormatUint(s.Pending, 10), strconv.Itoa(s.AckPending), delivered,
	}
}

func printSubscriptionJSON(e env, s subscription.State) error {
	return printJSON(e, struct {
		Name           string    `json:"name"`
		Fields         string    `json:"fields"`
		Pending        uint64    `json:"pending"`
		Unacknowledged int       `json:"unacknowledged"`
		LastDelivery   time.Time `json:"lastDelivery,omitzero"`
	}{display(s.Name), fieldsOf(s.IDOnly), s.Pending, s.AckPending, s.Delivered.UTC()})
}
