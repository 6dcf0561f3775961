package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher"
)

type rejectionsShowCmd struct {
	ID            string `arg:"" name:"id" help:"ID of the command."`
	Body          bool   `help:"Show the body of the command as well, which is personal data."`
	JSON          bool   `name:"json" help:"Print a JSON object, with the body in base64."`
	operatorFlags `embed:"" group:"nats"`
	auditFlags    `embed:""`
}

// Help is printed by --help.
func (*rejectionsShowCmd) Help() string {
	return `Examples:

  clientele rejections show ID
  clientele rejections show ID --body`
}

// Run shows the rejection, and the body of its command only on request.
func (c *rejectionsShowCmd) Run(e env) error {
	rejections, nc, err := c.open(e)
	if err != nil {
		return err
	}
	defer nc.Close()
	r, err := rejections.Get(e.ctx, rejectionID(c.ID))
	if domain.CodeOf(err) == domain.CodeNotFound {
		return fmt.Errorf("no rejection has the id %s", display(rejectionID(c.ID)))
	}
	if err != nil {
		return err
	}
	if c.Body {
		read := domain.AuditRecord{Action: domain.AuditRejectionRead, Result: domain.AuditSucceeded, ClientID: rejected.AuditedID(r.ID)}
		if err := c.record(e.ctx, nc, read); err != nil {
			return err
		}
	}
	if c.JSON {
		return c.printJSON(e, r)
	}
	return c.print(e.stdout, r)
}

func (c *rejectionsShowCmd) print(w io.Writer, r publisher.StoredRejection) error {
	lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(lines, "ID:\t%s\n", display(r.ID))
	fmt.Fprintf(lines, "Reason:\t%s\n", display(string(r.Reason)))
	fmt.Fprintf(lines, "Operation:\t%s\n", r.Status())
	fmt.Fprintf(lines, "Rejected at:\t%s\n", r.RejectedAt.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(lines, "Deliveries:\t%d\n", r.Deliveries)
	fmt.Fprintf(lines, "Retries:\t%d\n", r.Retries())
	for _, v := range r.Errors {
		where := ""
		if v.Pointer != "" { // otherwise it is about the whole command
			where = display(v.Pointer) + ": "
		}
		fmt.Fprintf(lines, "Error:\t%s%s\n", where, display(v.Detail))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Command.Headers)) {
		for _, value := range r.Command.Headers[name] {
			fmt.Fprintf(lines, "Header:\t%s: %s\n", display(name), display(value))
		}
	}
	switch {
	case len(r.Command.Body) == 0: // its client was erased
		fmt.Fprint(lines, "Body:\tnot kept\n")
		return lines.Flush()
	case !c.Body:
		fmt.Fprintf(lines, "Body:\t%s of personal data; --body shows it\n", countOf(len(r.Command.Body), "byte"))
		return lines.Flush()
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", displayText(string(r.Command.Body)))
	return err
}

func (c *rejectionsShowCmd) printJSON(e env, r publisher.StoredRejection) error {
	type command struct {
		Headers   map[string][]string `json:"headers"`
		BodyBytes int                 `json:"bodyBytes"`
		Body      *[]byte             `json:"body,omitzero"`
	}
	object := struct {
		ID         string                 `json:"id"`
		Reason     domain.Code            `json:"reason"`
		Operation  domain.OperationStatus `json:"operation"`
		RejectedAt time.Time              `json:"rejectedAt"`
		Deliveries uint64                 `json:"deliveries"`
		Retries    uint64                 `json:"retries"`
		Errors     []domain.Violation     `json:"errors"`
		Command    command                `json:"command"`
	}{
		ID: display(r.ID), Reason: r.Reason, Operation: r.Status(), RejectedAt: r.RejectedAt.UTC(), Deliveries: r.Deliveries,
		Retries: r.Retries(), Errors: r.Errors, Command: command{Headers: r.Command.Headers, BodyBytes: len(r.Command.Body)},
	}
	if c.Body {
		object.Command.Body = &r.Command.Body
	}
	return printJSON(e, object)
}
