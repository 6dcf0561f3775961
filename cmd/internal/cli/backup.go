package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"clientele/cmd/internal/app"
	"clientele/cmd/internal/backup"
	"clientele/cmd/internal/datadir"
	"clientele/cmd/internal/repair"

	"github.com/schollz/progressbar/v3"
)

// copyFlags name the two sides of a backup or a restore.
type copyFlags struct {
	Dir string `arg:"" type:"path" help:"Directory of the backup."`

	servedFlag            `embed:""`
	NatsEncryptionKeyFile string `type:"path" predictor:"file" placeholder:"FILE" help:"Key that encrypts the streams in the data directory."`
	natsFlags             `embed:"" group:"nats"`
	databaseFlags         `embed:"" group:"database"`
	auditFlags            `embed:""`
	logFlags              `embed:"" group:"process"`
}

// backupCmd copies everything that Clientele keeps into a directory.
type backupCmd struct {
	copyFlags `embed:""`
}

// Help is printed by --help.
func (*backupCmd) Help() string {
	return `Examples:

  # Separate processes, running or stopped
  clientele backup backup-monday --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

  # A clientele serve, running or stopped
  clientele backup backup-monday --data-dir clientele-data

The directory must be empty, or must not exist. The backup contains personal data and is not encrypted: protect it like the
database. Do not erase clients, and do not retry or drop rejections, until the backup is complete.`
}

// Run creates the backup.
func (c *backupCmd) Run(e env) error {
	if err := c.oneSystem(c.NatsURL, c.url()); err != nil {
		return err
	}
	began := time.Now()
	o, progress := c.options(e)
	m, err := app.Backup(e.ctx, o)
	progress.end()
	_, locked := errors.AsType[*datadir.InUseError](err)
	switch {
	case errors.Is(err, app.ErrInterrupted):
		return errors.New("interrupted: the backup is not complete")
	case locked:
		return fmt.Errorf("%w; while it runs, pass the URL of its NATS as --nats-url", advise(err))
	case err != nil:
		return err
	}
	summarize(e.stdout, m)
	fmt.Fprintf(e.stdout, "backed up to %s in %s\n", c.Dir, time.Since(began).Round(100*time.Millisecond))
	return nil
}

func (c *copyFlags) options(e env) (app.CopyOptions, *copyProgress) {
	progress := newCopyProgress(e.stderr)
	return app.CopyOptions{
		Process: e.process(app.ProcessOptions{}, c.logFlags),
		Backends: app.BackendOptions{
			NATS:     c.natsFlags.options(),
			Database: app.StoreOptions{URL: c.url(), DataDir: c.dir()},
			Embedded: app.EmbeddedOptions{Listen: "127.0.0.1:0", EncryptionKeyFile: c.NatsEncryptionKeyFile},
		},
		Audit:    c.operator(),
		Dir:      c.Dir,
		Progress: progress.show,
		Lacking:  e.fail,
	}, progress
}

// summarize prints the contents of a backup.
func summarize(w io.Writer, m backup.Manifest) {
	for _, s := range m.Streams {
		fmt.Fprintf(w, "%-18s %s, %s\n", s.Name, countOf(int(s.Messages), "message"), countOf(s.Consumers, "durable consumer"))
	}
	fmt.Fprintf(w, "%-18s %d\n", backup.Clients, m.Rows)
	fmt.Fprintf(w, "%-18s %d\n", "tombstones", m.Erasures)
	fmt.Fprintf(w, "%-18s %d\n", "legal holds", m.Holds)
	var size int64
	for _, f := range m.Files {
		size += f.Size
	}
	fmt.Fprintf(w, "%-18s %s in %d files\n", "size", megabytes(size), len(m.Files))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// progressInterval is how often progress is printed without a terminal.
const progressInterval = 10 * time.Second

// copyProgress shows the progress of each part: a bar on a terminal, a line every 10 s elsewhere.
type copyProgress struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	part string
	bar  *progressbar.ProgressBar
	said time.Time
}

func newCopyProgress(w io.Writer) *copyProgress {
	return &copyProgress{w: w, terminal: isTerminal(w), said: time.Now()}
}

// show shows how much of a part is copied.
func (p *copyProgress) show(part string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		p.draw(part, done, total)
		return
	}
	if time.Since(p.said) >= progressInterval {
		p.said = time.Now()
		fmt.Fprintf(p.w, "%s: %s\n", part, amount(part, done, total))
	}
}

func (p *copyProgress) draw(part string, done, total int64) {
	if p.part != part {
		p.finish()
		p.part = part
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetDescription(fmt.Sprintf("%-24s", part)), progressbar.OptionSetWidth(30),
			progressbar.OptionShowBytes(!isCounted(part)), progressbar.OptionShowCount(), progressbar.OptionUseANSICodes(true))
	}
	_ = p.bar.Set64(done)
}

func (p *copyProgress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		fmt.Fprintln(p.w)
		p.bar = nil
	}
}

func (p *copyProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

// isCounted reports whether the progress of a part is a number of things, not of bytes.
func isCounted(part string) bool {
	return slices.Contains([]string{backup.Clients, "check " + backup.Clients, repair.PartEvents, repair.PartCommands}, part)
}

func amount(part string, done, total int64) string {
	switch {
	case isCounted(part):
		return fmt.Sprintf("%d of %d", done, total)
	case total == 0:
		return megabytes(done)
	}
	return megabytes(done) + " of " + megabytes(total)
}
