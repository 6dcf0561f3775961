package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/audit"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The members that an exported client has besides its own. An import sends neither: it leaves out its errors, and its key column.
const (
	memberID     = "rejection_id"
	memberErrors = "import_errors"
)

// exportPage is how many rejections are recorded in the audit trail at once, before they are printed.
const exportPage = 256

type rejectionsExportCmd struct {
	selectFlags   `embed:""`
	Output        string `type:"path" predictor:"file" placeholder:"FILE" help:"Write to this new file, readable only by you, instead of standard output."`
	operatorFlags `embed:"" group:"nats"`
	auditFlags    `embed:""`
}

// Help is printed by --help.
func (*rejectionsExportCmd) Help() string {
	return `Examples:

  # Correct the clients of a bad import, and import them again
  clientele rejections export --caller crm --reason unstorable --since 24h --output bad.ndjson
  jq --compact-output 'del(.companyName)' bad.ndjson > good.ndjson
  clientele import good.ndjson --key-column rejection_id

Each line is the client of a command, which is personal data, with the id of its rejection and its errors. A corrected client is a new
command: it has a new id, and belongs to the caller whose key you import with. With --key-column rejection_id, you can repeat the import:
each rejection becomes at most one client. Rejections stay until you drop them. Those without a client, such as erased ones, are skipped;
the exit status is then 1.`
}

// Run prints the clients of the rejections that the flags select.
func (c *rejectionsExportCmd) Run(e env) error {
	rejections, nc, err := c.open(e)
	if err != nil {
		return err
	}
	defer nc.Close()
	trail, err := c.recorder(e.ctx, nc)
	if err != nil {
		return err
	}
	selected, err := c.choose(e, rejections)
	if err != nil {
		return err
	}
	if selected.total == 0 {
		fmt.Fprintln(e.stderr, "no rejections")
		return selected.incomplete()
	}
	x := rejectionExport{trail: trail, stderr: e.stderr}
	write := func(w io.Writer) error { return x.write(e.ctx, w, selected) }
	if c.Output != "" {
		err = writeNew(c.Output, write)
	} else {
		err = write(e.stdout)
	}
	if err != nil {
		return cmp.Or(interrupted(e.ctx, errors.New("interrupted: the export is not complete")), err)
	}
	fmt.Fprintf(e.stderr, "exported %d, skipped %d\n", x.exported, x.skipped)
	if x.skipped > 0 {
		return fmt.Errorf("exported %d of %d; see above why the others were skipped", x.exported, selected.total)
	}
	return selected.incomplete()
}

// rejectionExport is an export in progress.
type rejectionExport struct {
	trail             *audit.Recorder
	stderr            io.Writer
	exported, skipped int
}

// write writes the clients, one JSON object per line.
func (x *rejectionExport) write(ctx context.Context, w io.Writer, selected selection) error {
	var page []publisher.StoredRejection
	for r, err := range selected.each(ctx) {
		if domain.CodeOf(err) == domain.CodeNotFound {
			continue // it was reported before, or was removed meanwhile
		}
		if err != nil {
			return err
		}
		if page = append(page, r); len(page) == exportPage {
			if err := x.writePage(ctx, w, page); err != nil {
				return err
			}
			page = page[:0]
		}
	}
	return x.writePage(ctx, w, page)
}

// writePage records that the clients are read, and writes them.
func (x *rejectionExport) writePage(ctx context.Context, w io.Writer, page []publisher.StoredRejection) error {
	var lines []byte
	var reads []domain.AuditRecord
	for _, r := range page {
		line, err := clientOf(r)
		if reason, ok := errors.AsType[*publisher.SkippedError](err); ok {
			x.skipped++
			fmt.Fprintf(x.stderr, "skipped %s: %s\n", display(r.ID), reason)
			continue
		}
		if err != nil {
			return err
		}
		lines = append(lines, displayJSON(line)+"\n"...)
		reads = append(reads, domain.AuditRecord{Action: domain.AuditRejectionRead, Result: domain.AuditSucceeded, ClientID: rejected.AuditedID(r.ID)})
	}
	if len(reads) == 0 {
		return nil
	}
	if err := x.trail.Record(ctx, reads...); err != nil {
		return err
	}
	x.exported += len(reads)
	_, err := w.Write(lines)
	return err
}

// clientOf returns the client of a rejected command as a line that can be imported, or a *publisher.SkippedError if it has none.
func clientOf(r publisher.StoredRejection) ([]byte, error) {
	if r.Reason == publisher.ReasonUnreadable {
		return nil, &publisher.SkippedError{Reason: "its message is not a rejection, so it has no client"}
	}
	if r.Reason == domain.CodeErased {
		return nil, &publisher.SkippedError{Reason: "its client was erased, and was not kept"}
	}
	var client map[string]jsontext.Value
	if err := json.Unmarshal(r.Command.Body, &client); err != nil || client == nil {
		return nil, &publisher.SkippedError{Reason: "the body of its command is not a JSON object; rejections show --body prints it"}
	}
	for name, value := range map[string]any{memberID: display(r.ID), memberErrors: r.Errors} {
		text, err := json.Marshal(value, jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return nil, err
		}
		client[name] = text
	}
	return json.Marshal(client, json.Deterministic(true))
}
