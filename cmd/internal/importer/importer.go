// Package importer sends the clients of a CSV or NDJSON file to the API, in batches.
//
// The idempotency key of a row derives from its content, or from a column of the file. You may import a file again, even after
// adding, moving or deleting rows: no client is created twice.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"clientele/domain"
)

// Run imports a file. An error means that the import is not complete; rejected rows are not an error. It may be a
// *ConfigError, a *ColumnError, a *RejectsError, a *RedirectError, a *RefusedError or a *tls.CertificateVerificationError.
func Run(ctx context.Context, cfg Config) (Result, error) {
	in, err := open(cfg)
	if err != nil {
		return Result{}, err
	}
	defer in.close()
	out := &rejects{path: in.rejectsPath(), rows: in.rows}
	defer out.close()
	progress := newProgress(cfg, in.size())
	r := &run{
		send:     newPoster(cfg, progress.notify).post,
		reject:   out.add,
		progress: progress,
		read:     &in.read,
	}
	senders := cfg.Connections
	if cfg.DryRun {
		senders = 1 // to print the rows in order
		r.send = validate
		r.reject = func(rejected row, reasons []string) error {
			return progress.print(cfg.Output, rejected, reasons)
		}
	}
	err = r.all(ctx, &keyedRows{rows: in.rows, keys: keys{column: cfg.KeyColumn}}, senders)
	progress.end(err == nil)
	result := progress.result()
	if err == nil && !cfg.DryRun {
		err = finish(in, out, &result)
	}
	return result, err
}

// run is an import in progress.
type run struct {
	// send calls settle for each row when it is settled: with the reasons why it was rejected, or none if it was accepted. An error
	// stops the import.
	send     func(ctx context.Context, rows []row, settle func(r row, reasons []string) error) error
	reject   func(r row, reasons []string) error
	progress *progress
	read     *atomic.Int64 // bytes of the file read so far
}

// all sends the rows until the file or the context ends, or until sending one fails.
func (r *run) all(ctx context.Context, from *keyedRows, senders int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan row, batchRows)
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for rows := gather(work); len(rows) > 0; rows = gather(work) {
				if err := r.batch(ctx, rows); err != nil {
					stop(err) // continue, to empty the channel
				}
			}
		})
	}
	err := readAll(ctx, from, work)
	close(work)
	group.Wait()
	return errors.Join(err, context.Cause(ctx))
}

// The most rows in a batch, and the size of their bodies in bytes from which it has no further rows.
const (
	batchRows  = 200
	batchBytes = 256 << 10
)

// gather waits for a row, and returns it with those that have been read meanwhile. It returns none at the end.
func gather(work <-chan row) (rows []row) {
	next, ok := <-work
	for size := 0; ok; {
		rows, size = append(rows, next), size+len(next.body)
		if len(rows) == batchRows || size >= batchBytes {
			break
		}
		select {
		case next, ok = <-work:
		default:
			ok = false
		}
	}
	return rows
}

// batch sends rows, except those that cannot be sent.
func (r *run) batch(ctx context.Context, rows []row) error {
	var valid []row
	for _, next := range rows {
		if next.err == "" {
			valid = append(valid, next)
		} else if err := r.settle(next, []string{next.err}); err != nil {
			return err
		}
	}
	if len(valid) == 0 {
		return nil
	}
	return r.send(ctx, valid, r.settle)
}

// settle counts a row, and rejects it if there are reasons.
func (r *run) settle(settled row, reasons []string) error {
	if len(reasons) > 0 {
		if err := r.reject(settled, reasons); err != nil {
			return err
		}
	}
	r.progress.add(r.read.Load(), len(reasons) > 0)
	return nil
}

// readAll sends all rows to the channel, until the context ends.
func readAll(ctx context.Context, from *keyedRows, work chan<- row) error {
	for {
		r, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: correct the row and import the file again; no client is created twice", err)
		}
		select {
		case work <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// validate settles rows as the API would.
func validate(ctx context.Context, rows []row, settle func(row, []string) error) error {
	for _, r := range rows {
		if err := settle(r, invalid(r)); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// invalid returns the reasons why the API would reject a row.
func invalid(r row) []string {
	_, err := domain.Parse(r.body, time.Now())
	if invalid, ok := errors.AsType[*domain.Error](err); ok && len(invalid.Violations) > 0 {
		domain.WithoutValues(invalid.Violations) // the output may end up in logs
		return reasonsOf(invalid.Violations)
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}
