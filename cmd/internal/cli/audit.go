package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"clientele/domain"
	"clientele/publisher/audit"

	"github.com/google/uuid"
)

// auditCmd are the operator's commands for the audit trail.
type auditCmd struct {
	Ls   auditLsCmd   `cmd:"" help:"List records of the audit trail."`
	Tail auditTailCmd `cmd:"" help:"Print records of the audit trail as they are written."`
}

// auditFilterFlags select records.
type auditFilterFlags struct {
	Actor  string             `placeholder:"NAME" help:"Only records of this actor: a caller, the id of an API key, an operator's name, or a NATS user."`
	Action domain.AuditAction `placeholder:"ACTION" help:"Only records of this action, such as client_read, erase or refused."`
	Client string             `placeholder:"ID" help:"Only records about this client."`
	JSON   bool               `name:"json" help:"Print one JSON object per line, as in --audit-log, instead of a table."`

	operatorFlags `embed:"" group:"nats"`
}

// filter returns the filter of the flags. The error is a *usageError.
func (f auditFilterFlags) filter() (audit.Filter, error) {
	filter := audit.Filter{Actor: f.Actor, Action: f.Action}
	if f.Client == "" {
		return filter, nil
	}
	id, err := domain.ParseID(f.Client)
	if err != nil {
		return filter, &usageError{"--client: the id is not a UUID"}
	}
	filter.Client = id
	return filter, nil
}

type auditLsCmd struct {
	Since timeFlag `placeholder:"TIME" help:"Only records from this time on: a time (RFC 3339) or a duration before now, such as 24h."`
	Until timeFlag `placeholder:"TIME" help:"Only records up to this time: a time (RFC 3339) or a duration before now, such as 24h."`

	auditFilterFlags `embed:""`
}

// Help is printed by --help.
func (*auditLsCmd) Help() string {
	return `Examples:

  clientele audit ls --since 24h
  clientele audit ls --client ID
  clientele audit ls --action refused --since 1h --json

An action that can fail midway has two records: started, and how it ended. RESULT of a refused request is the reason.`
}

// Run lists the records, oldest first.
func (c *auditLsCmd) Run(e env) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	if c.Until.isSet() && c.Until.past().Before(c.Since.past()) {
		return &usageError{"--until must not be before --since"}
	}
	filter.Since, filter.Until = c.Since.past(), c.Until.past()
	js, err := c.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	return list[domain.AuditRecord]{
		unit: "record", header: []string{"TIME", "ACTION", "RESULT", "ACTOR", "CLIENT", "TARGET", "ADDRESS", "COUNT"},
		columns: auditColumns, json: func(r domain.AuditRecord) error { return printAuditJSON(e.stdout, r) },
	}.write(e, audit.Read(e.ctx, js, filter), c.JSON)
}

type auditTailCmd struct{ auditFilterFlags }

// Help is printed by --help.
func (*auditTailCmd) Help() string {
	return `Examples:

  clientele audit tail
  clientele audit tail --action refused --json`
}

// Run prints records until it is stopped.
func (c *auditTailCmd) Run(e env) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	filter.Follow = true
	js, err := c.jetStream(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	ctx, cancel := untilClosed(e.ctx, js.Conn())
	defer cancel()
	for r, err := range audit.Read(ctx, js, filter) {
		if err == nil {
			err = c.print(e.stdout, r)
		}
		switch {
		case e.ctx.Err() != nil:
			return nil
		case ctx.Err() != nil:
			return errors.New("the connection to NATS was lost")
		case err != nil:
			return err
		}
	}
	return nil
}

// print prints a record. Its columns have fixed widths, because later records are not known.
func (c *auditTailCmd) print(w io.Writer, r domain.AuditRecord) error {
	if c.JSON {
		return printAuditJSON(w, r)
	}
	columns := auditColumns(r)
	_, err := fmt.Fprintf(w, "%-24s  %-15s  %-18s  %s\n", columns[0], columns[1], columns[2], strings.Join(columns[3:], "  "))
	return err
}

func printAuditJSON(w io.Writer, r domain.AuditRecord) error {
	line, err := r.JSON()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, displayJSON(line))
	return err
}

// auditColumns returns the columns of a record.
func auditColumns(r domain.AuditRecord) []string {
	client, count := "-", "-"
	if r.ClientID != uuid.Nil {
		client = r.ClientID.String()
	}
	if r.Count > 0 {
		count = strconv.FormatInt(r.Count, 10)
	}
	return []string{
		r.Time.UTC().Format(auditTime), display(string(r.Action)), display(string(r.Result)), actorText(r.Actor),
		client, orDash(r.Target), orDash(r.Address), count,
	}
}

// auditTime is RFC 3339 with milliseconds.
const auditTime = "2006-01-02T15:04:05.000Z07:00"

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return display(s)
}

// actorText returns a short text about an actor, such as "crm (key abcdefgh)" or "jane@host (operator)".
func actorText(a domain.AuditActor) string {
	text := a.Name
	if a.Host != "" {
		text += "@" + a.Host
	}
	switch {
	case a.KeyID != "":
		text += " (key " + a.KeyID + ")"
	case a.Credential != "":
		text += " (" + a.Credential + ")"
	}
	return orDash(text)
}
