package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"clientele/domain"

	"github.com/schollz/progressbar/v3"
)

// importCmd takes the clients of a file in, through the API.
type importCmd struct {
	File        string            `arg:"" predictor:"file" help:"File to import, - for standard input."`
	URL         string            `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The API (${default})."`
	Token       string            `placeholder:"TOKEN" help:"API key or token to send. It belongs into the environment: CLIENTELE_TOKEN."`
	Format      string            `default:"auto" enum:"auto,csv,ndjson" placeholder:"FORMAT" help:"csv, ndjson, or auto: by the file's name, else by how it begins (${default})."`
	Map         map[string]string `placeholder:"COLUMN=MEMBER" help:"What a column is called in the API, as in E-Mail=emailAddress; = alone leaves it out. May be given again."`
	Delimiter   string            `default:"," placeholder:"CHAR" help:"What separates columns of a CSV file (${default})."`
	Rejects     string            `type:"path" predictor:"file" placeholder:"FILE" help:"Where rejected rows go, with their reasons; beside the file unless given: clients.rejects.csv, or stdin.rejects."`
	Connections int               `default:"64" placeholder:"N" help:"Requests under way at once (${default})."`
	DryRun      bool              `help:"Validate only, here, and send nothing."`
	apiTLSFlags `embed:""`
}

// Help is printed by --help.
func (*importCmd) Help() string {
	return `Examples:

  # See what is wrong with a file, then import what is right, mend the rest and import that
  clientele import clients.csv --dry-run
  clientele import clients.csv
  clientele import clients.rejects.csv

  # Columns that are called otherwise
  clientele import crm.csv --delimiter ';' --map 'E-Mail=emailAddress' --map 'Notes='

  # From another program, an object a line
  crm-export | clientele import - --format ndjson

It can be interrupted, and run again: nothing is taken in twice. The exit status is 1 while rows are rejected.`
}

// Validate is called by the parser.
func (c *importCmd) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("--url must be like http://127.0.0.1:8080")
	case c.Connections < 1 || c.Connections > 1000:
		return errors.New("--connections must be from 1 to 1000")
	case len([]rune(c.Delimiter)) != 1:
		return errors.New("--delimiter must be one character")
	}
	return nil
}

// row is one client of a file.
type row struct {
	number int    // as a spreadsheet or an editor counts: the header of a CSV file is 1
	raw    any    // as the rejects file needs it
	body   []byte // the request; nil if the row is no client
	err    string // why it is none
}

// rows reads a file, and writes what is rejected of it.
type rows interface {
	// next returns io.EOF at the end. Another error says that the rest cannot be read.
	next() (row, error)
	// reject writes the row with its reasons, so that it can be mended and imported again.
	reject(w io.Writer, r row, reasons []string) error
}

// The names under which a rejects file has the row's number and the reasons. An import leaves them out.
const (
	columnRow    = "import_row"
	columnErrors = "import_errors"
)

// Run imports the file. Every row has a key made of its number and content: importing the file again, after whatever, makes no
// second client.
func (c *importCmd) Run(e env) error {
	file, size, err := c.open(e)
	if err != nil {
		return err
	}
	defer file.Close()
	source := &counter{Reader: file}
	rows, err := c.rows(bufio.NewReaderSize(source, 64<<10))
	if err != nil {
		return err
	}
	rejects := &rejects{path: c.rejectsPath(), rows: rows}
	defer rejects.close()
	progress := newImportProgress(e.stderr, size)
	importer, err := newImporter(c, progress.say)
	if err != nil {
		return err
	}
	post := importer.post
	if c.DryRun {
		post = dryRun
	}
	ctx, stop := context.WithCancelCause(e.ctx)
	defer stop(nil)
	work := make(chan row, c.Connections)
	var senders sync.WaitGroup
	for range c.Connections {
		senders.Go(func() {
			for r := range work {
				reasons, err := []string{r.err}, error(nil)
				if r.body != nil {
					reasons, err = post(ctx, r)
				}
				if err == nil && len(reasons) > 0 {
					err = rejects.add(r, reasons)
				}
				if err != nil {
					stop(err)
					continue // the others are let go of as well
				}
				progress.add(source.n.Load(), len(reasons) > 0)
			}
		})
	}
	readErr := readRows(ctx, rows, work)
	close(work)
	senders.Wait()
	progress.end(readErr == nil && ctx.Err() == nil)
	return c.report(e, progress, rejects, errors.Join(rejects.close(), readErr, context.Cause(ctx)))
}

// readRows hands out all rows, until the context ends.
func readRows(ctx context.Context, rows rows, work chan<- row) error {
	for {
		r, err := rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: mend it, and import the file again; rows before it are not imported twice", err)
		}
		select {
		case work <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// report prints what became of the rows. The error says that not all of them were accepted.
func (c *importCmd) report(e env, p *importProgress, rejects *rejects, err error) error {
	done := map[bool]string{false: "accepted", true: "valid"}[c.DryRun]
	fmt.Fprintf(e.stdout, "%s %d, rejected %d, in %s\n", done, p.accepted, p.rejected, time.Since(p.began).Round(100*time.Millisecond))
	switch {
	case e.ctx.Err() != nil:
		return errors.New("interrupted: import the file again for the rest; nothing is imported twice")
	case err != nil:
		return err
	case p.rejected > 0:
		return fmt.Errorf("%d rows were rejected: %s has them with their reasons; mend them there, and import that file", p.rejected, rejects.path)
	}
	return nil
}

// dryRun returns why a row would be rejected.
func dryRun(ctx context.Context, r row) ([]string, error) {
	_, err := domain.Parse(r.body, time.Now())
	if invalid, ok := errors.AsType[*domain.Error](err); ok && len(invalid.Violations) > 0 {
		return reasonsOf(invalid.Violations), context.Cause(ctx)
	}
	if err != nil {
		return []string{err.Error()}, context.Cause(ctx)
	}
	return nil, context.Cause(ctx)
}

func reasonsOf(violations []domain.Violation) []string {
	reasons := make([]string, len(violations))
	for i, v := range violations {
		reasons[i] = strings.TrimPrefix(v.Pointer, "/") + " " + v.Detail
	}
	return reasons
}

// open returns the file and its size, 0 if that is not known.
func (c *importCmd) open(e env) (io.ReadCloser, int64, error) {
	if c.File == "-" {
		return io.NopCloser(e.stdin), 0, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// rows returns the rows of the file in its format.
func (c *importCmd) rows(file *bufio.Reader) (rows, error) {
	if bom, _ := file.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = file.Discard(len(bom))
	}
	format := c.Format
	if format == "auto" {
		switch start, _ := file.Peek(1); {
		case strings.EqualFold(filepath.Ext(c.File), ".csv"):
			format = "csv"
		case strings.EqualFold(filepath.Ext(c.File), ".ndjson"), strings.EqualFold(filepath.Ext(c.File), ".jsonl"), string(start) == "{":
			format = "ndjson"
		default:
			format = "csv"
		}
	}
	if format == "ndjson" {
		return &lineRows{file: file}, nil
	}
	return newCSVRows(file, []rune(c.Delimiter)[0], c.Map)
}

// rejectsPath is where rejects go: beside the file, with its extension, which says the format.
func (c *importCmd) rejectsPath() string {
	if c.Rejects != "" {
		return c.Rejects
	}
	if c.File == "-" {
		return "stdin.rejects"
	}
	extension := filepath.Ext(c.File)
	return strings.TrimSuffix(c.File, extension) + ".rejects" + extension
}

// rejects is the file of rejects. It is made when the first one comes.
type rejects struct {
	path string
	rows rows

	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
}

func (x *rejects) add(r row, reasons []string) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.file == nil {
		if x.file, err = os.OpenFile(x.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("a row was rejected, and its file cannot be written, choose another with --rejects: %w", err)
		}
		x.w = bufio.NewWriter(x.file)
	}
	return x.rows.reject(x.w, r, reasons)
}

// close ends the file; a second call does nothing.
func (x *rejects) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.file == nil {
		return nil
	}
	err := errors.Join(x.w.Flush(), x.file.Close())
	x.file = nil
	return err
}

// counter counts what is read.
type counter struct {
	io.Reader

	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// importProgress counts rows, and shows how far the file is read: as a bar on a terminal, as a line every 10 s else.
type importProgress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar // nil if this is no terminal
	size  int64
	began time.Time

	mu                 sync.Mutex
	accepted, rejected int
	said               time.Time
}

const progressInterval = 10 * time.Second

func newImportProgress(w io.Writer, size int64) *importProgress {
	p := &importProgress{w: w, size: size, began: time.Now(), said: time.Now()}
	if isTerminal(w) {
		total := size
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true), progressbar.OptionShowElapsedTimeOnFinish(),
			progressbar.OptionUseANSICodes(true), progressbar.OptionSetRenderBlankState(true))
	}
	return p
}

func (p *importProgress) add(read int64, rejected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rejected {
		p.rejected++
	} else {
		p.accepted++
	}
	if p.bar != nil {
		p.bar.Describe(p.line())
		if p.size > 0 {
			read = min(read, p.size-1) // it is full when the last row is answered
		}
		_ = p.bar.Set64(read)
	} else if time.Since(p.said) > progressInterval {
		p.said = time.Now()
		fmt.Fprintln(p.w, p.line())
	}
}

// say prints a line of its own.
func (p *importProgress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.w, text)
}

func (p *importProgress) line() string {
	return fmt.Sprintf("%d accepted, %d rejected, %.0f/s", p.accepted, p.rejected, float64(p.accepted+p.rejected)/time.Since(p.began).Seconds())
}

// end leaves the bar as it is, full if all rows are done.
func (p *importProgress) end(all bool) {
	if p.bar == nil {
		return
	}
	if all {
		p.bar.Describe(p.line())
		_ = p.bar.Finish()
	}
	fmt.Fprintln(p.w)
}
