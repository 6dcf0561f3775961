package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher"
)

// maxWrong is how many errors a row lists.
const maxWrong = 5

type rejectionsLsCmd struct {
	filterFlags   `embed:""`
	Group         bool `help:"Count the rejections of each reason and member instead, the most frequent first."`
	JSON          bool `name:"json" help:"Print one JSON object per line instead of a table."`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*rejectionsLsCmd) Help() string {
	return `Examples:

  clientele rejections ls --since 24h
  clientele rejections ls --reason unstorable,undecodable --json
  clientele rejections ls --group

RETRIES is how often operators have retried the command. With --group, a rejection with errors in several members counts for each of
them, and one that is about the whole command for its error.`
}

// Validate is called by the parser.
func (c *rejectionsLsCmd) Validate() error { return c.filterFlags.validate() }

// Run lists the rejections that match, oldest first. It names invalid members without the details, which show prints.
func (c *rejectionsLsCmd) Run(e env) error {
	rejections, nc, err := c.open(e)
	if err != nil {
		return err
	}
	defer nc.Close()
	if c.Group {
		return printGroups(e, rejections.All(e.ctx, c.filter()), c.JSON)
	}
	return list[publisher.StoredRejection]{
		unit: "rejection", header: []string{"ID", "REASON", "REJECTED AT", "DELIVERIES", "RETRIES", "WRONG"},
		columns: rejectionColumns, json: func(r publisher.StoredRejection) error { return printRejectionJSON(e, r) },
	}.write(e, rejections.All(e.ctx, c.filter()), c.JSON)
}

func rejectionColumns(r publisher.StoredRejection) []string {
	return []string{
		display(r.ID), display(string(r.Reason)), r.RejectedAt.UTC().Format(time.RFC3339),
		strconv.FormatUint(r.Deliveries, 10), strconv.FormatUint(r.Retries(), 10), wrong(r.Errors),
	}
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

// printRejectionJSON prints the rejection on one line.
func printRejectionJSON(e env, r publisher.StoredRejection) error {
	type violation struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail,omitzero"` // about the whole command
	}
	line := struct {
		ID         string      `json:"id"`
		Reason     domain.Code `json:"reason"`
		RejectedAt time.Time   `json:"rejectedAt"`
		Deliveries uint64      `json:"deliveries"`
		Retries    uint64      `json:"retries"`
		Errors     []violation `json:"errors"`
	}{ID: display(r.ID), Reason: r.Reason, RejectedAt: r.RejectedAt.UTC(), Deliveries: r.Deliveries, Retries: r.Retries()}
	for _, v := range r.Errors {
		shown := violation{Pointer: v.Pointer}
		if v.Pointer == "" {
			shown.Detail = v.Detail
		}
		line.Errors = append(line.Errors, shown)
	}
	return printJSON(e, line)
}
