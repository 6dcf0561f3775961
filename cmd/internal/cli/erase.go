package cli

import (
	"errors"
	"fmt"

	"clientele/domain"

	"github.com/google/uuid"
)

// eraseCmd fulfils requests for erasure (UK GDPR, article 17) everywhere that Clientele stores data.
type eraseCmd struct {
	ID        string   `arg:"" optional:"" name:"id" help:"ID of the client."`
	From      string   `type:"path" predictor:"file" placeholder:"FILE" help:"Erase all clients of this file: one ID per line; - is standard input."`
	Reapply   bool     `help:"Erase again every client with an erasure on record whose data exists, such as after a restore. --from adds ids to the record."`
	LegalHold holdFlag `placeholder:"DATE|none" help:"Instead of erasing, refuse to erase up to the end of this day (UTC, YYYY-MM-DD), for --reason; none lifts the hold."`
	Reason    string   `placeholder:"TEXT" help:"Reason to record with the erasure or the hold, up to 200 characters. Do not name the person."`

	askFlags `embed:""`
}

// Help is printed by --help.
func (*eraseCmd) Help() string {
	return `Examples:

  clientele erase 01a1f0de-7c5e-7000-8000-000000000000 --reason "ticket 4711"
  clientele erase ID --nats-url nats://… --database-url postgres://…
  clientele erase --from ids.txt
  clientele erase ID --legal-hold 2027-12-31 --reason "case 12"
  clientele erase --reapply --yes

Erasing reads the headers of all events: erase many clients with --from, which reads them once. Subscribers receive client.erased and
erase their own copies. An erased id is never used again. Backups still contain the client: delete them yourself. Run --reapply after
every restore, and once a day. The exit status is 1 if a client could not be erased, such as one under a legal hold.`
}

// Validate is called by the parser.
func (c *eraseCmd) Validate() error {
	switch {
	case c.Reapply && (c.ID != "" || c.LegalHold.isSet()):
		return errors.New("pass --reapply without an id and without --legal-hold")
	case !c.Reapply && (c.ID == "") == (c.From == ""):
		return errors.New("pass either an id or --from")
	case c.LegalHold.isSet() && !c.LegalHold.lifts && c.Reason == "":
		return errors.New("--legal-hold requires --reason")
	}
	if err := checkRemark(c.Reason); err != nil {
		return fmt.Errorf("--reason %w", err)
	}
	return c.databaseFlags.Validate()
}

// Run erases the clients, or holds them.
func (c *eraseCmd) Run(e env) error {
	ids, err := c.ids(e)
	if err != nil {
		return err
	}
	open := c.open
	if c.LegalHold.isSet() { // it asks nothing
		open = c.systemFlags.open
	}
	clients, streams, closeAll, err := open(e)
	if err != nil {
		return err
	}
	defer closeAll()
	trail, err := c.recorder(e.ctx, streams.JetStream().Conn())
	if err != nil {
		return err
	}
	x := eraser{clients: clients, streams: streams, trail: trail, reason: c.Reason, operator: c.operator().Name}
	switch {
	case c.LegalHold.isSet():
		return x.recorded(e, c.LegalHold.action(), ids, func() ([]uuid.UUID, error) { return x.hold(e, c.LegalHold, ids) })
	case c.Reapply:
		return x.reapply(e, ids, c.confirmFlags)
	}
	question := fmt.Sprintf("Erase everything about %s? This cannot be undone.", clientsNamed(ids))
	if yes, err := c.confirmed(e, question, "erased"); !yes {
		return err
	}
	return x.recorded(e, domain.AuditErase, ids, func() ([]uuid.UUID, error) { return x.erase(e, ids) })
}

// ids returns the ids that the flags name, each once.
func (c *eraseCmd) ids(e env) ([]uuid.UUID, error) {
	switch {
	case c.From != "":
		return readIDs(e, c.From)
	case c.Reapply:
		return nil, nil
	}
	id, err := domain.ParseID(c.ID)
	if err != nil {
		return nil, &usageError{"the id is not a UUID"}
	}
	return []uuid.UUID{id}, nil
}
