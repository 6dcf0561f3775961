package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"clientele/domain"
	"clientele/publisher"
)

const (
	// tableRows is how many rows are aligned and kept in memory.
	tableRows = 256
	// maxWrong is how many errors a row lists.
	maxWrong = 5
)

type rejectionsLsCmd struct {
	filterFlags   `embed:""`
	JSON          bool `name:"json" help:"Print one JSON object per line instead of a table."`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*rejectionsLsCmd) Help() string {
	return `Examples:

  clientele rejections ls --since 24h
  clientele rejections ls --reason unstorable,undecodable --json`
}

// Validate is called by the parser.
func (c *rejectionsLsCmd) Validate() error { return c.filterFlags.validate() }

// Run lists the rejections that match, oldest first. It names invalid members without the detail, which can contain a telephone
// number. Details about a whole command contain no values, see domain.Error.
func (c *rejectionsLsCmd) Run(e env) error {
	rejections, nc, err := c.open(e)
	if err != nil {
		return err
	}
	defer nc.Close()

	table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	n := 0
	for r, err := range rejections.All(e.ctx, c.filter()) {
		if err != nil {
			return err
		}
		if c.JSON {
			err = c.printJSON(e, r)
		} else {
			err = printRow(table, n, r)
		}
		if err != nil {
			return err
		}
		n++
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stderr, countOf(n, "rejection"))
	return err
}

func printRow(table *tabwriter.Writer, row int, r publisher.StoredRejection) error {
	if row%tableRows == 0 {
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if row == 0 {
		fmt.Fprintln(table, "ID\tREASON\tREJECTED AT\tDELIVERIES\tWRONG")
	}
	_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", display(r.ID), display(string(r.Reason)),
		r.RejectedAt.UTC().Format(time.RFC3339), r.Deliveries, wrong(r.Errors))
	return err
}

// wrong returns a short list: the members that break a rule, or the detail about the whole command.
func wrong(violations []domain.Violation) string {
	var shown []string
	more := 0
	for _, v := range violations {
		switch {
		case len(shown) == maxWrong:
			more++
		case v.Pointer == "":
			shown = append(shown, display(v.Detail))
		default:
			shown = append(shown, display(v.Pointer))
		}
	}
	if more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	if len(shown) == 0 {
		return "-"
	}
	return strings.Join(shown, ", ")
}

// printJSON prints the rejection in one line.
func (c *rejectionsLsCmd) printJSON(e env, r publisher.StoredRejection) error {
	type violation struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail,omitzero"` // about the whole command
	}
	line := struct {
		ID         string      `json:"id"`
		Reason     domain.Code `json:"reason"`
		RejectedAt time.Time   `json:"rejectedAt"`
		Deliveries uint64      `json:"deliveries"`
		Errors     []violation `json:"errors"`
	}{ID: display(r.ID), Reason: r.Reason, RejectedAt: r.RejectedAt.UTC(), Deliveries: r.Deliveries}
	for _, v := range r.Errors {
		shown := violation{Pointer: v.Pointer}
		if v.Pointer == "" {
			shown.Detail = v.Detail
		}
		line.Errors = append(line.Errors, shown)
	}
	return printJSON(e, line)
}
