// Package importer sends the clients of a CSV or NDJSON file to the API, one request a row.
//
// The idempotency key of a row derives from its content, or from a column of the file. Importing a file again, whole or after
// other rows were added, moved or deleted, creates no client twice.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"clientele/domain"
)

// Run imports a file. An error means that the import is not complete; rejected rows are not an error. It may be a
// *ConfigError, a *ColumnError, a *RejectsError, a *RefusedError or a *tls.CertificateVerificationError.
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
		send:     newPoster(cfg, progress.say).post,
		reject:   out.add,
		progress: progress,
		read:     &in.read,
	}
	senders := cfg.Connections
	if cfg.DryRun {
		senders = 1 // it prints the rows in their order
		r.send = validate
		r.reject = func(rejected row, reasons []string) error {
			return progress.print(cfg.Output, rejected, reasons)
		}
	}
	err = r.all(ctx, &keyedRows{rows: in.rows, keys: keys{column: cfg.KeyColumn}}, senders)
	progress.end(err == nil)
	result := progress.result()
	if err == nil && !cfg.DryRun {
		err = settle(in, out, &result)
	}
	return result, err
}

// run is an import on its way.
type run struct {
	// send returns why a row was rejected, or nothing when it was accepted. Its error ends the import.
	send     func(ctx context.Context, r row) (reasons []string, err error)
	reject   func(r row, reasons []string) error
	progress *progress
	read     *atomic.Int64 // bytes of the file
}

// all sends the rows until the file or the context ends, or until one of them cannot be sent.
func (r *run) all(ctx context.Context, from *keyedRows, senders int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan row, senders)
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for next := range work {
				if err := r.one(ctx, next); err != nil {
					stop(err) // and empty the channel
				}
			}
		})
	}
	err := readAll(ctx, from, work)
	close(work)
	group.Wait()
	return errors.Join(err, context.Cause(ctx))
}

func (r *run) one(ctx context.Context, next row) (err error) {
	reasons := []string{next.err}
	if next.err == "" {
		if reasons, err = r.send(ctx, next); err != nil {
			return err
		}
	}
	if len(reasons) > 0 {
		if err := r.reject(next, reasons); err != nil {
			return err
		}
	}
	r.progress.add(r.read.Load(), len(reasons) > 0)
	return nil
}

// readAll hands out all rows, until the context ends.
func readAll(ctx context.Context, from *keyedRows, work chan<- row) error {
	for {
		r, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: correct it, and import the file again; no client is created twice", err)
		}
		select {
		case work <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// validate returns why a row would be rejected.
func validate(ctx context.Context, r row) ([]string, error) {
	_, err := domain.Parse(r.body, time.Now())
	if invalid, ok := errors.AsType[*domain.Error](err); ok && len(invalid.Violations) > 0 {
		for i, v := range invalid.Violations {
			invalid.Violations[i].Detail = withoutSuggestion(v.Detail)
		}
		return reasonsOf(invalid.Violations), context.Cause(ctx)
	}
	if err != nil {
		return []string{err.Error()}, context.Cause(ctx)
	}
	return nil, context.Cause(ctx)
}

// withoutSuggestion leaves out the one value that a violation may repeat, because output ends up in logs.
func withoutSuggestion(detail string) string {
	detail, _, _ = strings.Cut(detail, "; did you mean ")
	return detail
}
