package cli

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"clientele/cmd/internal/importer"
	"clientele/cmd/internal/refusal"
	"clientele/domain"
)

// importCmd creates the clients of a file through the API.
type importCmd struct {
	File        string            `arg:"" predictor:"file" help:"File to import, or - for standard input."`
	URL         string            `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"URL of the API (${default})."`
	Format      string            `default:"auto" enum:"auto,csv,ndjson" placeholder:"FORMAT" help:"csv, ndjson, or auto: by the name of the file, or else by its first bytes (${default})."`
	Map         map[string]string `placeholder:"COLUMN=MEMBER" help:"API member for a column, such as E-Mail=emailAddress; an empty member skips the column. Repeat the flag for each column."`
	KeyColumn   string            `placeholder:"COLUMN" help:"Column or NDJSON member with a unique key for each row, such as an id in your system. It is not sent. Without it, the row's content is its key."`
	Delimiter   string            `default:"," placeholder:"CHAR" help:"Column separator of a CSV file (${default})."`
	Rejects     string            `type:"path" predictor:"file" placeholder:"FILE" help:"File for rejected rows with their reasons; by default clients.rejects.csv beside clients.csv. An existing file is kept, and a number is added to the name."`
	Connections int               `default:"8" placeholder:"N" help:"Maximum requests in progress, each with up to 200 rows (${default})."`
	DryRun      bool              `help:"Validate locally: send nothing, write no file, and print row numbers and reasons."`
	tokenFlags  `embed:""`
	apiTLSFlags `embed:""`
	auditFlags  `embed:""`
}

// Help is printed by --help.
func (*importCmd) Help() string {
	return `Examples:

  # Check a file, import it, correct the rejected rows and import those
  clientele import clients.csv --dry-run
  clientele import clients.csv
  clientele import clients.rejects.csv

  # Columns with other names
  clientele import crm.csv --delimiter ';' --map 'E-Mail=emailAddress' --map 'Notes='

  # A column with a unique key
  clientele import crm.csv --key-column crm_id

  # From another program, one object per line
  crm-export | clientele import - --format ndjson

If the service does not respond, the import waits and tries again. You can interrupt an import and run it again: no client is created twice. The same holds after you add, move or delete rows, or
reorder columns, because the key of a row is its content. Identical rows in one file are different clients; identical rows in
two files are the same client. With --key-column, the value in that column is the key, in every file: a row with a known key but
different content is rejected. Idempotency keys belong to the caller: import with the same API key name each time, or always without one.

The rejects file is written when the import is complete. Import it with the same flags. It then keeps only the rows that are
rejected again, and is removed when none are left. The exit status is 1 while rows are rejected. In a CSV file of rejects, an apostrophe
keeps a spreadsheet from running a cell as a formula; the import removes it.`
}

// Validate is called by the parser.
func (c *importCmd) Validate() error {
	switch {
	case !isHTTPURL(c.URL):
		return errors.New("--url must be a URL such as http://127.0.0.1:8080")
	case c.Connections < 1 || c.Connections > 1000:
		return errors.New("--connections must be from 1 to 1000")
	case len([]rune(c.Delimiter)) != 1:
		return errors.New("--delimiter must be one character")
	}
	return c.tokenFlags.validate()
}

// Run imports the file.
func (c *importCmd) Run(e env) error {
	certificates, err := c.config()
	if err != nil {
		return err
	}
	record := domain.AuditRecord{Action: domain.AuditImport, Result: domain.AuditStarted}
	if !c.DryRun {
		if err := c.recordInFile(record); err != nil {
			return err
		}
	}
	result, err := c.run(e, certificates)
	if !c.DryRun {
		record.Count, record.Result = int64(result.Accepted), domain.AuditSucceeded
		if err != nil {
			record.Result = domain.AuditFailed
		}
		err = cmp.Or(err, c.recordInFile(record))
	}
	return c.report(e, result, err)
}

func (c *importCmd) run(e env, certificates *tls.Config) (importer.Result, error) {
	return importer.Run(e.ctx, importer.Config{
		Path:        c.File,
		Stdin:       e.stdin,
		Format:      c.Format,
		Delimiter:   []rune(c.Delimiter)[0],
		Map:         c.Map,
		KeyColumn:   c.KeyColumn,
		Rejects:     c.Rejects,
		URL:         c.URL,
		Token:       c.token(),
		Connections: c.Connections,
		DryRun:      c.DryRun,
		TLS:         certificates,
		UserAgent:   userAgent(),
		Output:      e.stdout,
		Progress:    e.stderr,
		Terminal:    isTerminal(e.stderr),

		OutageAdvice: "check --url; you can interrupt and repeat the import",
	})
}

// report prints the counts, or returns an error with them unless all rows were accepted.
func (c *importCmd) report(e env, r importer.Result, err error) error {
	if err == nil && e.ctx.Err() == nil && r.Rejected > 0 {
		err = c.rejected(r)
	}
	switch {
	case e.ctx.Err() != nil:
		err = errors.New("interrupted: import the file again for the rest; no client is created twice")
	case refusal.Untrusted(err):
		err = untrustedAPI(err)
	case err != nil:
		err = importAdvice(err)
	}
	if r.Elapsed == 0 { // the file could not be opened
		return err
	}
	done := map[bool]string{false: "accepted", true: "valid"}[c.DryRun]
	counts := fmt.Sprintf("%s %d, rejected %d, in %s", done, r.Accepted, r.Rejected, r.Elapsed.Round(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("%s: %w", counts, err) // one line, because the order of two streams varies in a pipe
	}
	fmt.Fprintln(e.stdout, counts)
	if r.Removed != "" {
		fmt.Fprintf(e.stdout, "removed %s: all of its rows are accepted\n", r.Removed)
	}
	return nil
}

// rejected says what to do about the rejected rows.
func (c *importCmd) rejected(r importer.Result) error {
	rows := countOf(r.Rejected, "row")
	switch {
	case c.DryRun:
		return fmt.Errorf("%s not valid; nothing was sent", rows)
	case r.RejectsTaken != "":
		return fmt.Errorf("correct %s in %s and import that file; %s is from an earlier import and was not changed",
			rows, r.RejectsPath, r.RejectsTaken)
	}
	return fmt.Errorf("correct %s in %s and import that file", rows, r.RejectsPath)
}

// importAdvice returns the error of an import with the flag that changes it, where there is one.
func importAdvice(err error) error {
	config, isConfig := errors.AsType[*importer.ConfigError](err)
	column, isColumn := errors.AsType[*importer.ColumnError](err)
	_, isRejects := errors.AsType[*importer.RejectsError](err)
	_, isRedirect := errors.AsType[*importer.RedirectError](err)
	refused, isRefused := errors.AsType[*importer.RefusedError](err)
	switch {
	case isConfig:
		return fmt.Errorf("%s: %w", map[string]string{"KeyColumn": "--key-column", "Map": "--map"}[config.Field], config.Err)
	case isColumn:
		return columnAdvice(column)
	case isRejects:
		return fmt.Errorf("%w: choose another file with --rejects", err)
	case isRedirect:
		return fmt.Errorf("%w: nothing was sent there; if that is the API, name it in --url", err)
	case isRefused && refused.Status == http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: the service is older than this program and accepts no batches: upgrade it, or import with a clientele of its version", err)
	case isRefused:
		return fmt.Errorf("%w: %s", err, checkAPI)
	}
	return err
}

// columnAdvice returns the error with the flags that name the columns.
func columnAdvice(err *importer.ColumnError) error {
	switch err.Delimiter {
	case 0:
	case '\t':
		return fmt.Errorf(`%w: pass --delimiter $'\t'`, err)
	default:
		return fmt.Errorf("%w: pass --delimiter '%c'", err, err.Delimiter)
	}
	var flags strings.Builder
	for _, column := range err.Columns {
		fmt.Fprintf(&flags, " --map %q", column+"=MEMBER")
	}
	return fmt.Errorf("%w; rename the column, or pass%s", err, flags.String())
}
