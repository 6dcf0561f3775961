package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/audit"
)

type rejectionsRetryCmd struct{ settleFlags }

// Help is printed by --help.
func (*rejectionsRetryCmd) Help() string {
	return `Examples:

  clientele rejections retry ID
  clientele rejections retry --reason unstorable --since 24h`
}

// Run retries the rejections that the flags select.
func (c *rejectionsRetryCmd) Run(e env) error {
	return c.settle(e, settlement{
		question: "Retry %s?",
		done:     "retried",
		by:       rejected.Retry(),
	})
}

type rejectionsDropCmd struct{ settleFlags }

// Help is printed by --help.
func (*rejectionsDropCmd) Help() string {
	return `Examples:

  clientele rejections drop ID
  clientele rejections drop --reason invalid --until 720h`
}

// Run drops the rejections that the flags select.
func (c *rejectionsDropCmd) Run(e env) error {
	return c.settle(e, settlement{
		question: "Permanently drop %s? This deletes the clients' data and cannot be undone.",
		done:     "dropped",
		by:       rejected.Drop(),
	})
}

// settlement retries or drops rejections.
type settlement struct {
	question string // with a verb for the number of rejections
	done     string
	by       rejected.Settlement
}

// settleFlags select the rejections to settle.
type settleFlags struct {
	selectFlags   `embed:""`
	confirmFlags  `embed:""`
	operatorFlags `embed:"" group:"nats"`
	auditFlags    `embed:""`
}

// settle counts the selected rejections, asks, and settles them one by one.
func (f *settleFlags) settle(e env, s settlement) error {
	if err := f.checkTerminal(e); err != nil {
		return err
	}
	rejections, nc, err := f.open(e)
	if err != nil {
		return err
	}
	defer nc.Close()

	trail, err := f.recorder(e.ctx, nc)
	if err != nil {
		return err
	}
	nothing := fmt.Errorf("interrupted: nothing was %s", s.done)
	selected, err := f.choose(e, rejections)
	if err != nil {
		return cmp.Or(interrupted(e.ctx, nothing), err)
	}
	if selected.total == 0 {
		fmt.Fprintln(e.stdout, "no rejections")
		return selected.incomplete()
	}
	for _, reason := range slices.Sorted(maps.Keys(selected.reasons)) {
		fmt.Fprintf(e.stdout, "%s: %d\n", display(string(reason)), selected.reasons[reason])
	}
	if yes, err := f.confirmed(e, fmt.Sprintf(s.question, countOf(selected.total, "rejected command")), s.done); !yes {
		return err
	}
	return cmp.Or(s.each(e, rejections, trail, selected), selected.incomplete())
}

// interrupted returns the error if the context has ended.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return nil
}

// each settles the selected rejections and prints the counts. It stops at the first error that affects all of them.
func (s settlement) each(e env, rejections *publisher.Rejections, trail *audit.Recorder, selected selection) error {
	done, skipped := 0, 0
	var stopped error
	for r, err := range selected.each(e.ctx) {
		if e.ctx.Err() != nil {
			break
		}
		if domain.CodeOf(err) == domain.CodeNotFound {
			continue // it was reported before, or was removed meanwhile
		}
		if err == nil {
			err = s.by.One(e.ctx, rejections, trail, domain.AuditRecord{}, r)
		}
		if reason, ok := errors.AsType[*publisher.SkippedError](err); ok {
			skipped++
			fmt.Fprintf(e.stdout, "skipped %s: %s\n", display(r.ID), reason)
			continue
		}
		if err != nil {
			stopped = err
			break
		}
		done++
	}
	fmt.Fprintf(e.stdout, "%s %d, skipped %d\n", s.done, done, skipped)
	progress := fmt.Sprintf("%s %d of %d, the others are unchanged", s.done, done, selected.total)
	switch {
	case e.ctx.Err() != nil && done+skipped < selected.total:
		return fmt.Errorf("interrupted: %s; run this again for the rest", progress)
	case domain.CodeOf(stopped) == domain.CodeLogFull:
		return fmt.Errorf("the command log is full: %s; let the workers catch up, or raise --log-max-bytes or the storage limit of NATS, then run this again", progress)
	case stopped != nil:
		return fmt.Errorf("%s; run this again for the rest: %w", progress, stopped)
	case skipped > 0:
		return fmt.Errorf("%s %d of %d; see above why the others were skipped", s.done, done, selected.total)
	}
	return nil
}
