package cli

import (
	"cmp"
	"errors"
	"fmt"

	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/endpoint"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
)

type webhooksAddCmd struct {
	webhookArg    `embed:""`
	URL           string   `arg:"" help:"URL to which events are posted, as CloudEvents in binary mode."`
	Since         timeFlag `placeholder:"TIME" help:"Begin with events published at this time: a time (RFC 3339) or a duration before now, such as 24h; by default with the next event."`
	Only          string   `enum:",created,erased" default:"" placeholder:"TYPE" help:"Deliver only client.created (created) or only client.erased (erased); by default both."`
	EventFields   string   `enum:"full,id-only" default:"full" placeholder:"FIELDS" help:"full: the whole record (default); id-only: no body, only the ids, the type and the time."`
	Adopt         bool     `help:"Continue with the existing consumer of this name, such as that of events forward in version 0.1. Nothing else may receive from it."`
	secretFlag    `embed:""`
	receiverFlags `embed:""`
	webhookFlags  `embed:""`
}

// Help is printed by --help.
func (*webhooksAddCmd) Help() string {
	return `Examples:

  clientele webhooks add crm https://crm.example.com/clients
  SECRET=$(clientele webhooks add crm https://crm.example.com/clients --only created)

Each event is posted until the receiver responds with 2xx. An event that fails for --give-up-after while others succeed, or for nine minutes
with 400, 410, 413, 415 or 422, is given up, so that it cannot stop the others: see clientele webhooks deliveries --given-up. After ten
failures in a row only single events are tried, and after --disable-after the webhook is disabled. Its events wait on the stream.

clientele serve delivers, and so do clientele forward processes.`
}

// Validate is called by the parser.
func (c *webhooksAddCmd) Validate() error {
	return cmp.Or(c.webhookArg.validate(), c.receiverFlags.validate(), c.checkURL(c.URL))
}

// Run adds the endpoint.
func (c *webhooksAddCmd) Run(e env) error {
	key, generated, err := c.key()
	if err != nil {
		return err
	}
	js, bucket, err := c.open(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	s := endpoint.Settings{
		URL: c.URL, GiveUpAfter: defaultGiveUpAfter, DisableAfter: defaultDisableAfter, InFlight: defaultInFlight, IDOnly: c.EventFields == idOnly,
	}
	if c.Only != "" {
		s.Subjects = []string{"client." + c.Only}
	}
	c.apply(&s)
	err = c.act(e.ctx, js.Conn(), domain.AuditRecord{Action: endpoint.AuditAdd, Target: c.Name}, func() error {
		return c.add(e, js, bucket, s, key)
	})
	if err != nil && !wasDone(err) {
		return err
	}
	fmt.Fprintf(e.stderr, "added webhook %s\n", c.Name)
	return errors.Join(err, printSecret(e, generated))
}

// wasDone reports whether an action that returned an error was carried out. Its secret is in use then, and must be printed.
func wasDone(err error) bool {
	_, done := errors.AsType[*audit.UnrecordedEndError](err)
	return done
}

// add creates the consumer before the endpoint: a process that delivers would create it without the flags.
func (c *webhooksAddCmd) add(e env, js jetstream.JetStream, bucket *endpoint.Bucket, s endpoint.Settings, key []byte) error {
	if _, err := bucket.Get(e.ctx, c.Name); err == nil {
		return &usageError{"webhook " + c.Name + " exists: see clientele webhooks set and rotate"}
	} else if _, missing := errors.AsType[*endpoint.MissingError](err); !missing {
		return err
	}
	_, err := subscription.Create(e.ctx, js, subscription.Config{Name: c.Name, Since: c.Since.past(), Subjects: s.Subjects, IDOnly: s.IDOnly})
	_, exists := errors.AsType[*subscription.ExistingError](err)
	switch {
	case exists && c.Adopt:
		if err := adopt(e, js, c.Name, &s); err != nil {
			return err
		}
	case exists:
		return &usageError{"consumer " + c.Name + " belongs to a subscriber: choose another name, or pass --adopt if nothing else receives from it"}
	case err != nil:
		return err
	}
	err = bucket.Add(e.ctx, c.Name, s, key)
	_, conflict := errors.AsType[*endpoint.ConflictError](err)
	_, unknown := errors.AsType[*endpoint.UnknownError](err)
	if err != nil && !exists && !conflict && !unknown { // else an endpoint may need it
		err = errors.Join(err, subscription.Delete(e.ctx, js, c.Name))
	}
	return err
}

// adopt gives an endpoint the settings of an existing consumer.
func adopt(e env, js jetstream.JetStream, name string, s *endpoint.Settings) error {
	consumer, err := subscription.Open(e.ctx, js, name)
	if err != nil {
		return err
	}
	config := consumer.CachedInfo().Config
	s.IDOnly, s.Subjects = config.HeadersOnly, config.FilterSubjects
	if config.FilterSubject != "" {
		s.Subjects = []string{config.FilterSubject}
	}
	return nil
}
