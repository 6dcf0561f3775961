package cli

import (
	"fmt"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/google/uuid"
)

// eraseCmd fulfils a person's request for erasure (UK GDPR, article 17) everywhere that Clientele stores data.
type eraseCmd struct {
	ID string `arg:"" name:"id" help:"ID of the client."`

	askFlags `embed:""`
}

// Help is printed by --help.
func (*eraseCmd) Help() string {
	return `Examples:

  clientele erase 01a1f0de-7c5e-7000-8000-000000000000
  clientele erase ID --nats-url nats://… --database-url postgres://…

Subscribers receive client.erased and erase their own copies. Backups still contain the client: delete them yourself.`
}

// Run erases a client.
func (c *eraseCmd) Run(e env) error {
	id, err := domain.ParseID(c.ID)
	if err != nil {
		return &usageError{"the id is not a UUID"}
	}
	clients, streams, closeAll, err := c.open(e)
	if err != nil {
		return err
	}
	defer closeAll()
	if yes, err := c.confirmed(e, fmt.Sprintf("Erase everything about client %s? This cannot be undone.", id), "erased"); !yes {
		return err
	}
	return erase(e, id, clients, streams)
}

// erase deletes the row before the messages: a reader of the events can then look up no more than they contain.
func erase(e env, id uuid.UUID, clients store.Store, streams *publisher.Admin) error {
	pending, err := streams.Pending(e.ctx, id)
	if err != nil {
		return err
	}
	if pending {
		return fmt.Errorf("the operation of client %s is pending: nothing was erased, run this again when it has completed", id)
	}
	client, err := clients.Get(e.ctx, id)
	rows := 1
	if domain.CodeOf(err) == domain.CodeNotFound {
		rows, err = 0, nil
	}
	if err != nil {
		return err
	}
	if err := clients.Delete(e.ctx, id); err != nil {
		return fmt.Errorf("%w; run this again", err)
	}
	var since time.Time
	if rows > 0 {
		since = client.CreatedAt.Add(-time.Hour) // clocks differ
	}
	erased, err := streams.Erase(e.ctx, id, since)
	if err != nil {
		return fmt.Errorf("the row is erased, but not all messages: run this again: %w", err)
	}
	if rows+erased.Commands+erased.Rejections+erased.Events == 0 {
		return fmt.Errorf("no data about %s was found; %s was published anyway", id, domain.SubjectErased)
	}
	fmt.Fprintf(e.stdout, "erased %s: rows %d, commands %d, rejections %d, events %d; published %s\n",
		id, rows, erased.Commands, erased.Rejections, erased.Events, domain.SubjectErased)
	return nil
}
