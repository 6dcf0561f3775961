package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/google/uuid"
)

// eraseCmd fulfils requests for erasure (UK GDPR, article 17) everywhere that Clientele stores data.
type eraseCmd struct {
	ID     string `arg:"" optional:"" name:"id" help:"ID of the client."`
	From   string `type:"path" predictor:"file" placeholder:"FILE" help:"Erase all clients of this file: one ID per line; - is standard input."`
	Reason string `placeholder:"TEXT" help:"Reason to record with the erasure, up to 200 characters. Do not name the person."`

	askFlags `embed:""`
}

// Help is printed by --help.
func (*eraseCmd) Help() string {
	return `Examples:

  clientele erase 01a1f0de-7c5e-7000-8000-000000000000 --reason "ticket 4711"
  clientele erase ID --nats-url nats://… --database-url postgres://…
  clientele erase --from ids.txt

Erasing reads the headers of all events: erase many clients with --from, which reads them once. Subscribers receive client.erased and
erase their own copies. An erased id is never used again. Backups still contain the client: delete them yourself.`
}

// Validate is called by the parser.
func (c *eraseCmd) Validate() error {
	if (c.ID == "") == (c.From == "") {
		return errors.New("pass either an id or --from")
	}
	if err := checkRemark(c.Reason); err != nil {
		return fmt.Errorf("--reason %w", err)
	}
	return c.databaseFlags.Validate()
}

// Run erases the clients.
func (c *eraseCmd) Run(e env) error {
	ids, err := c.ids(e)
	if err != nil {
		return err
	}
	clients, streams, closeAll, err := c.open(e)
	if err != nil {
		return err
	}
	defer closeAll()
	question := fmt.Sprintf("Erase everything about %s? This cannot be undone.", clientsNamed(ids))
	if yes, err := c.confirmed(e, question, "erased"); !yes {
		return err
	}
	trail, err := c.recorder(e.ctx, streams.Conn())
	if err != nil {
		return err
	}
	records := make([]domain.AuditRecord, len(ids))
	for i, id := range ids {
		records[i] = domain.AuditRecord{Action: domain.AuditErase, Result: domain.AuditStarted, ClientID: id}
	}
	if err := trail.Record(e.ctx, records...); err != nil {
		return err
	}
	gone, err := c.erase(e, ids, clients, streams)
	for i, id := range ids {
		records[i].Result = domain.AuditFailed
		if slices.Contains(gone, id) {
			records[i].Result = domain.AuditSucceeded
		}
	}
	return trail.End(e.ctx, err, records...)
}

// ids returns the ids to erase, each once.
func (c *eraseCmd) ids(e env) ([]uuid.UUID, error) {
	if c.From != "" {
		return readIDs(e, c.From)
	}
	id, err := domain.ParseID(c.ID)
	if err != nil {
		return nil, &usageError{"the id is not a UUID"}
	}
	return []uuid.UUID{id}, nil
}

// clientsNamed returns the id of one client, or the number of several.
func clientsNamed(ids []uuid.UUID) string {
	if len(ids) == 1 {
		return "client " + ids[0].String()
	}
	return countOf(len(ids), "client")
}

// erase deletes the rows before the messages: a reader of the events can then look up no more than they contain. It returns the ids
// that it has erased completely.
func (c *eraseCmd) erase(e env, ids []uuid.UUID, clients store.Store, streams *publisher.Admin) (complete []uuid.UUID, err error) {
	var gone []uuid.UUID
	var failures []error
	existed := map[uuid.UUID]bool{}
	operator := c.auditOptions().Operator
	for _, id := range ids {
		pending, err := streams.Pending(e.ctx, id)
		if err != nil {
			return nil, err
		}
		if pending {
			failures = append(failures, fmt.Errorf("the operation of client %s is pending: nothing was erased, run this again when it has completed", id))
			continue
		}
		if existed[id], err = clients.Erase(e.ctx, id, domain.NewErasure(id, time.Now(), c.Reason, operator)); err != nil {
			return nil, fmt.Errorf("%w; run this again", err)
		}
		gone = append(gone, id)
	}
	erased, err := streams.Erase(e.ctx, gone)
	if err != nil {
		return nil, fmt.Errorf("the rows are erased, but not all messages: run this again: %w", err)
	}
	var rows int
	var sum publisher.Erased
	var found []uuid.UUID
	for i, id := range gone {
		if !existed[id] && erased[i] == (publisher.Erased{}) {
			failures = append(failures, fmt.Errorf("no data about %s was found; %s was published anyway", id, domain.SubjectErased))
			continue
		}
		found = append(found, id)
		if existed[id] {
			rows++
		}
		sum.Commands += erased[i].Commands
		sum.Rejections += erased[i].Rejections
		sum.Events += erased[i].Events
	}
	if len(found) > 0 {
		fmt.Fprintf(e.stdout, "erased %s: rows %d, commands %d, rejections %d, events %d; published %s\n",
			strings.TrimPrefix(clientsNamed(found), "client "), rows, sum.Commands, sum.Rejections, sum.Events, domain.SubjectErased)
	}
	if len(failures) > 0 && len(ids) > 1 {
		fmt.Fprintln(e.stderr, errors.Join(failures...))
		return gone, fmt.Errorf("erased %d of %s", len(found), clientsNamed(ids))
	}
	return gone, errors.Join(failures...)
}
