package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher"
)

// filterFlags select rejections by reason, member, caller and time.
type filterFlags struct {
	Reason  []domain.Code `enum:"invalid,idempotency-key-reused,erased,undecodable,unstorable,unreadable" placeholder:"REASON" help:"Only these reasons: ${enum}."`
	Pointer string        `placeholder:"POINTER" help:"Only those with an error at this JSON Pointer, such as /address/postcode."`
	Caller  string        `placeholder:"NAME" help:"Only those that this caller sent: the name of an API key, or the subject of a token."`
	Since   timeFlag      `placeholder:"TIME" help:"Only those rejected at this time or later: a time (RFC 3339) or a duration before now, such as 24h."`
	Until   timeFlag      `placeholder:"TIME" help:"Only those rejected at this time or earlier: a time (RFC 3339) or a duration before now, such as 24h."`
}

// given reports whether a filter is set.
func (f filterFlags) given() bool {
	return len(f.Reason) > 0 || f.Pointer != "" || f.Caller != "" || f.Since.isSet() || f.Until.isSet()
}

// validate returns what is wrong with the flags.
func (f filterFlags) validate() error {
	if f.Pointer != "" && !strings.HasPrefix(f.Pointer, "/") {
		return errors.New("--pointer must be a JSON Pointer, such as /address/postcode")
	}
	if f.Until.isSet() && f.Until.past().Before(f.Since.past()) {
		return errors.New("--until must not be before --since")
	}
	return nil
}

func (f filterFlags) filter() publisher.RejectionFilter {
	return publisher.RejectionFilter{Reasons: f.Reason, Pointer: f.Pointer, Caller: f.Caller, Since: f.Since.past(), Until: f.Until.past()}
}

// selectFlags select rejections by id or by filter.
type selectFlags struct {
	IDs         []string `arg:"" optional:"" name:"id" help:"IDs of the commands."`
	filterFlags `embed:""`
	All         bool `help:"Every rejection."`
}

// Validate is called by the parser.
func (f *selectFlags) Validate() error {
	const filters = "a filter (--reason, --pointer, --caller, --since, --until)"
	ways := 0
	for _, given := range []bool{len(f.IDs) > 0, f.given(), f.All} {
		if given {
			ways++
		}
	}
	switch ways {
	case 0:
		return errors.New("pass ids, " + filters + " or --all")
	case 1:
		return f.filterFlags.validate()
	default:
		return errors.New("pass only one of ids, " + filters + " and --all")
	}
}

// selection is the rejections that the flags select. Each iteration yields the same ones, except those removed meanwhile.
type selection struct {
	each    func(context.Context) iter.Seq2[publisher.StoredRejection, error]
	total   int
	reasons map[domain.Code]int
	missing int // ids without a rejection
}

// incomplete returns an error if ids had no rejection.
func (s selection) incomplete() error {
	if s.missing > 0 {
		return fmt.Errorf("%s without a rejection", countOf(s.missing, "id"))
	}
	return nil
}

// choose selects and counts the rejections.
func (f *selectFlags) choose(e env, rejections *publisher.Rejections) (selection, error) {
	s := selection{reasons: map[domain.Code]int{}}
	// Later rejections are left out: they are not part of the number in the question, and a command that is rejected again is not
	// retried again.
	newest, err := rejections.Newest(e.ctx)
	if err != nil {
		return s, err
	}
	if len(f.IDs) > 0 {
		ids := make([]string, 0, len(f.IDs))
		for _, id := range f.IDs {
			if id = rejectionID(id); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		s.each = func(ctx context.Context) iter.Seq2[publisher.StoredRejection, error] {
			return rejected.ByID(ctx, rejections, ids, newest)
		}
	} else {
		filter := f.filter()
		filter.UpTo = max(newest, 1) // 0 means no bound
		s.each = func(ctx context.Context) iter.Seq2[publisher.StoredRejection, error] {
			return rejections.All(ctx, filter)
		}
	}
	for r, err := range s.each(e.ctx) {
		switch {
		case domain.CodeOf(err) == domain.CodeNotFound:
			s.missing++
			fmt.Fprintf(e.stderr, "no rejection has the id %s\n", display(r.ID))
		case err != nil:
			return s, err
		default:
			s.total++
			s.reasons[r.Reason]++
		}
	}
	return s, nil
}
