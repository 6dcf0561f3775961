package cli

import (
	"fmt"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/google/uuid"
)

// eraseCmd carries out a person's request to be erased (UK GDPR, article 17), everywhere that Clientele keeps data.
type eraseCmd struct {
	ID string `arg:"" name:"id" help:"Id of the client."`

	askFlags `embed:""`
}

// Help is printed by --help.
func (*eraseCmd) Help() string {
	return `Examples:

  clientele erase 01a1f0de-7c5e-7000-8000-000000000000
  clientele erase ID --nats-url nats://… --database-url postgres://…

Events that subscribers have, and backups, are theirs to erase: they are told with client.erased.`
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
	if yes, err := c.confirmed(e, fmt.Sprintf("Erase everything about client %s, for good?", id), "erased"); !yes {
		return err
	}
	return erase(e, id, clients, streams)
}

// erase takes the row first and the messages after it: whoever reads the events cannot look up more than they say.
func erase(e env, id uuid.UUID, clients store.Store, streams *publisher.Admin) error {
	pending, err := streams.Pending(e.ctx, id)
	if err != nil {
		return err
	}
	if pending {
		return fmt.Errorf("client %s is still being taken in: nothing was erased, run this again when its operation has ended", id)
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
		return fmt.Errorf("the row is erased, and not yet all messages, run this again: %w", err)
	}
	if rows+erased.Commands+erased.Rejections+erased.Events == 0 {
		return fmt.Errorf("nothing here is about %s; subscribers were told with %s all the same", id, domain.SubjectErased)
	}
	fmt.Fprintf(e.stdout, "erased %s: rows %d, commands %d, rejections %d, events %d; subscribers are told with %s\n",
		id, rows, erased.Commands, erased.Rejections, erased.Events, domain.SubjectErased)
	return nil
}
