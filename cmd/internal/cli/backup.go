package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"clientele/cmd/internal/backup"
	"clientele/cmd/internal/process"
	"clientele/store"

	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"
)

// copyFlags say between what a backup or a restore copies.
type copyFlags struct {
	Dir string `arg:"" type:"path" help:"Directory of the backup."`

	DataDir               string `default:"./clientele-data" placeholder:"DIR" help:"Data directory of a clientele serve, for what --nats-url and --database-url do not name (${default})."`
	NatsEncryptionKeyFile string `type:"path" predictor:"file" placeholder:"FILE" help:"Key that encrypts the streams in the data directory."`
	natsFlags             `embed:"" group:"nats"`
	databaseFlags         `embed:"" group:"database"`
	logFlags              `embed:"" group:"process"`
}

// backupCmd copies everything that Clientele keeps into a directory.
type backupCmd struct {
	copyFlags `embed:""`
}

// Help is printed by --help.
func (*backupCmd) Help() string {
	return `Examples:

  # Separate processes, which may run meanwhile
  clientele backup backup-monday --nats-url nats://127.0.0.1:4222 --database-url postgres://clientele@127.0.0.1/clientele

  # A clientele serve that is running, and one that is stopped
  clientele backup backup-monday --nats-url nats://127.0.0.1:4222 --data-dir clientele-data
  clientele backup backup-monday --data-dir clientele-data

The directory must not exist, or be empty. It then holds personal data, not encrypted: keep it as safe as the database. Do not
erase clients, and do not retry or drop rejections, until the backup is complete.`
}

// Run makes the backup.
func (c *backupCmd) Run(e env) error {
	began := time.Now()
	var m backup.Manifest
	err := c.run(e, false, func(ctx context.Context, _ *process.Process, cfg backup.Config) (err error) {
		if err := cfg.Clients.Ready(ctx); err != nil {
			return err
		}
		m, err = backup.Create(ctx, cfg)
		return err
	})
	if err != nil {
		return err
	}
	summarize(e.stdout, m)
	fmt.Fprintf(e.stdout, "backed up to %s in %s\n", c.Dir, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// run opens both sides, runs f with them, and closes them. An interruption is an error. A restore may create what is missing
// in a data directory.
func (c *copyFlags) run(e env, create bool, f func(context.Context, *process.Process, backup.Config) error) error {
	p := process.New(c.logger(e), 20*time.Second)
	progress := newCopyProgress(e.stderr)
	complete := false
	err := p.Run(e.ctx, func(ctx context.Context) error {
		nc, db, err := c.open(ctx, p, e, create)
		if err != nil {
			return err
		}
		err = f(ctx, p, backup.Config{Dir: c.Dir, Conn: nc, Clients: db, Version: buildVersion(), Progress: progress.show})
		progress.end()
		complete = err == nil
		if complete {
			p.Done()
		}
		return err
	})
	if err == nil && !complete {
		return errors.New("interrupted: it is not complete")
	}
	return err
}

// open connects to the servers that the flags name, and opens the data directory for the others. Of a running clientele serve
// only the database is read from there.
func (c *copyFlags) open(ctx context.Context, p *process.Process, e env, create bool) (nc *nats.Conn, db store.Store, err error) {
	h := backendFlags{c.natsFlags, c.databaseFlags, dataDirFlags{
		DataDir: c.DataDir, NatsListen: "127.0.0.1:0", NatsEncryptionKeyFile: c.NatsEncryptionKeyFile,
	}}
	if c.NatsURL == "" || create && c.DatabaseURL == "" {
		if _, err := os.Stat(c.DataDir); err != nil && !create {
			return nil, nil, fmt.Errorf("%w: give the --data-dir of a clientele serve, or --nats-url and --database-url", err)
		}
		unlock, err := lockDataDir(c.DataDir)
		if err != nil && !create {
			return nil, nil, fmt.Errorf("%w. While it runs, give its NATS with --nats-url, such as nats://127.0.0.1:4222", err)
		}
		if err != nil {
			return nil, nil, err
		}
		p.OnStop("data directory", func(context.Context) error { unlock(); return nil })
	}
	if c.NatsURL != "" {
		if nc, err = c.connectNow(e, "operator"); err != nil {
			return nil, nil, err
		}
		p.OnStop("connection to NATS", func(context.Context) error { nc.Close(); return nil })
	} else {
		var o backends
		if err := h.openNATS(ctx, p, &o); err != nil {
			return nil, nil, err
		}
		nc = o.conn
	}
	if create || c.DatabaseURL != "" {
		db, err = h.openStore(ctx, p)
		return nc, db, err
	}
	db, err = (&clientsFlags{DataDir: c.DataDir}).openClients(ctx)
	if err == nil {
		p.OnStop("database", func(context.Context) error { return db.Close() })
	}
	return nc, db, err
}

// summarize prints what a backup holds.
func summarize(w io.Writer, m backup.Manifest) {
	for _, s := range m.Streams {
		fmt.Fprintf(w, "%-18s %d messages, %d durable consumers\n", s.Name, s.Messages, s.Consumers)
	}
	fmt.Fprintf(w, "%-18s %d\n", backup.Clients, m.Rows)
	var size int64
	for _, f := range m.Files {
		size += f.Size
	}
	fmt.Fprintf(w, "%-18s %s in %d files\n", "size", megabytes(size), len(m.Files))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// progressInterval is how often progress is printed where there is no terminal.
const progressInterval = 10 * time.Second

// copyProgress shows how far each part is: as a bar on a terminal, as a line every 10 s elsewhere.
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

// show is told by the copy.
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
			progressbar.OptionShowBytes(!isClients(part)), progressbar.OptionShowCount(), progressbar.OptionUseANSICodes(true))
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

func isClients(part string) bool { return part == backup.Clients || part == "check "+backup.Clients }

func amount(part string, done, total int64) string {
	switch {
	case isClients(part):
		return fmt.Sprintf("%d of %d", done, total)
	case total == 0:
		return megabytes(done)
	}
	return megabytes(done) + " of " + megabytes(total)
}
