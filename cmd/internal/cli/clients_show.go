package cli

import (
	"cmp"
	"fmt"
	"text/tabwriter"
	"time"

	"clientele/domain"

	"github.com/go-json-experiment/json/jsontext"
)

type clientsShowCmd struct {
	ID   string `arg:"" name:"id" help:"ID of the client."`
	Body bool   `help:"Show the record as well, which is personal data."`
	JSON bool   `name:"json" help:"Print a JSON object."`

	systemFlags `embed:""`
}

// Help is printed by --help.
func (*clientsShowCmd) Help() string {
	return `Examples:

  clientele clients show ID
  clientele clients show ID --body
  clientele clients show ID --body --json | jq .record`
}

// Run shows the client, and its record only on request.
func (c *clientsShowCmd) Run(e env) error {
	id, err := domain.ParseID(c.ID)
	if err != nil {
		return &usageError{"the id is not a UUID"}
	}
	db, trail, closeAll, err := c.openToRead(e)
	if err != nil {
		return err
	}
	defer closeAll()
	client, err := db.Get(e.ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return fmt.Errorf("no client has the id %s", id)
	}
	if err != nil {
		return err
	}
	read := domain.AuditRecord{Action: domain.AuditClientShow, Result: domain.AuditSucceeded, ClientID: id}
	if err := trail.Record(e.ctx, read); err != nil {
		return err
	}
	marks, err := db.Marks(e.ctx, id)
	if err != nil {
		return err
	}
	facts := newClientFacts(client, c.Body)
	facts.Caller, facts.KeyID = client.Caller, client.KeyID
	facts.LegalHold = activeHold(marks)
	if c.JSON {
		return printJSON(e, facts)
	}
	return c.print(e, client, facts.LegalHold)
}

func (c *clientsShowCmd) print(e env, client domain.Client, hold *holdFacts) error {
	body, err := client.JSON()
	if err != nil {
		return err
	}
	lines := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(lines, "ID:\t%s\n", client.ID)
	fmt.Fprintf(lines, "Status:\t%s\n", display(string(client.Status)))
	fmt.Fprintf(lines, "Accepted at:\t%s\n", client.AcceptedAt.Format(time.RFC3339Nano))
	fmt.Fprintf(lines, "Created at:\t%s\n", client.CreatedAt.Format(time.RFC3339Nano))
	fmt.Fprintf(lines, "Caller:\t%s\n", display(cmp.Or(client.Caller, "unknown")))
	fmt.Fprintf(lines, "Key ID:\t%s\n", display(cmp.Or(client.KeyID, "-")))
	if hold != nil {
		fmt.Fprintf(lines, "Legal hold:\tup to %s, by %s: %s\n", hold.Until, display(hold.Operator), display(hold.Reason))
	}
	if !c.Body {
		fmt.Fprintf(lines, "Record:\t%s of personal data; --body shows it\n", countOf(len(body), "byte"))
		return lines.Flush()
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	record := jsontext.Value(body)
	if err := record.Indent(jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "\n%s\n", displayText(string(record)))
	return err
}
