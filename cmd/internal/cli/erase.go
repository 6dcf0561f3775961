package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"time"
	"unicode/utf8"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

	"github.com/google/uuid"
)

// maxRemark is the maximum number of characters in the reason and in the operator's name.
const maxRemark = 200

// eraseCmd fulfils requests for erasure (UK GDPR, article 17) everywhere that Clientele stores data.
type eraseCmd struct {
	ID        string   `arg:"" optional:"" name:"id" help:"ID of the client."`
	From      string   `type:"path" predictor:"file" placeholder:"FILE" help:"Erase all clients of this file: one ID per line; - is standard input."`
	Reapply   bool     `help:"Erase again every client with an erasure on record whose data exists, such as after a restore. --from adds ids to the record."`
	LegalHold holdFlag `placeholder:"DATE|none" help:"Instead of erasing, refuse to erase up to the end of this day (UTC, YYYY-MM-DD), for --reason; none lifts the hold."`
	Reason    string   `placeholder:"TEXT" help:"Reason to record with the erasure or the hold, up to 200 characters. Do not name the person."`
	Operator  string   `placeholder:"NAME" help:"Your name to record with the erasure or the hold; by default your login name."`

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
	for flag, text := range map[string]string{"--reason": c.Reason, "--operator": c.Operator} {
		if utf8.RuneCountInString(text) > maxRemark || !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) {
			return fmt.Errorf("%s must be at most %d printable characters", flag, maxRemark)
		}
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
	switch {
	case c.LegalHold.isSet():
		return c.hold(e, ids, clients, streams)
	case c.Reapply:
		return c.reapply(e, ids, clients, streams)
	}
	question := fmt.Sprintf("Erase everything about %s? This cannot be undone.", clientsNamed(ids))
	if yes, err := c.confirmed(e, question, "erased"); !yes {
		return err
	}
	return c.erase(e, ids, clients, streams)
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

// clientsNamed returns the id of one client, or the number of several.
func clientsNamed(ids []uuid.UUID) string {
	if len(ids) == 1 {
		return "client " + ids[0].String()
	}
	return countOf(len(ids), "client")
}

// erase deletes the rows before the messages: a reader of the events can then look up no more than they contain.
func (c *eraseCmd) erase(e env, ids []uuid.UUID, clients store.Store, streams *publisher.Admin) error {
	gone, existed, failures, err := c.eraseRows(e, ids, clients, streams)
	if err != nil {
		return err
	}
	erased, err := streams.Erase(e.ctx, gone)
	if err != nil {
		return fmt.Errorf("the rows are erased, but not all messages: run this again: %w", err)
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
	return failed(e, failures, "erased", len(found), ids)
}

// eraseRows deletes the rows and stores the tombstones. It returns the ids for which it did so, those that had a row, and why it left
// out the others.
func (c *eraseCmd) eraseRows(e env, ids []uuid.UUID, clients store.Store, streams *publisher.Admin) (gone []uuid.UUID, existed map[uuid.UUID]bool, failures []error, err error) {
	existed = map[uuid.UUID]bool{}
	for _, id := range ids {
		pending, err := streams.Pending(e.ctx, id)
		if err != nil {
			return nil, nil, nil, err
		}
		if pending {
			failures = append(failures, fmt.Errorf("the operation of client %s is pending: nothing was erased, run this again when it has completed", id))
			continue
		}
		existed[id], err = clients.Erase(e.ctx, id, domain.NewErasure(id, time.Now(), c.Reason, c.operator()))
		if held, ok := errors.AsType[*store.HeldError](err); ok {
			failures = append(failures, fmt.Errorf("client %s is under legal hold up to %s: nothing was erased; to lift the hold, run clientele erase %s --legal-hold none",
				id, held.Hold.Until(), id))
			continue
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%w; run this again", err)
		}
		gone = append(gone, id)
	}
	return gone, existed, failures, nil
}

// failed returns an error if there are failures. With several ids, it prints them and returns how many are done.
func failed(e env, failures []error, verb string, done int, ids []uuid.UUID) error {
	if len(failures) > 0 && len(ids) > 1 {
		fmt.Fprintln(e.stderr, errors.Join(failures...))
		return fmt.Errorf("%s %d of %s", verb, done, clientsNamed(ids))
	}
	return errors.Join(failures...)
}

// operator returns the name to record.
func (c *eraseCmd) operator() string { return cmp.Or(c.Operator, loginName()) }

// loginName returns the name under which the operating system knows the operator, or "".
func loginName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
