package console

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"clientele/cmd/internal/figures"
	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher"
)

// reasons are those of rejections.
var reasons = []domain.Code{
	domain.CodeInvalid, domain.CodeKeyReused, domain.CodeErased, domain.CodeUndecodable, domain.CodeUnstorable, publisher.ReasonUnreadable,
}

// selection selects rejections: by id, or by a filter.
type selection struct {
	IDs     []string
	Reason  domain.Code
	Pointer string
	Caller  string
	// Since and Until are times (RFC 3339) or durations before now, as typed.
	Since, Until string
	since, until time.Time
	// UpTo is the newest rejection that belongs to it. Later ones do not, so that what is done is what was shown.
	UpTo uint64
}

// parseSelection returns the selection in a query or a form.
func parseSelection(form url.Values) (s selection, err error) {
	s = selection{
		IDs: form["id"], Reason: domain.Code(form.Get("reason")), Pointer: form.Get("pointer"), Caller: form.Get("caller"),
		Since: form.Get("since"), Until: form.Get("until"),
	}
	slices.Sort(s.IDs)
	s.IDs = slices.Compact(s.IDs)
	if s.Reason != "" && !slices.Contains(reasons, s.Reason) {
		return s, errors.New("no rejection has this reason")
	}
	if s.Pointer != "" && !strings.HasPrefix(s.Pointer, "/") {
		return s, errors.New("a member is a JSON Pointer, such as /address/postcode")
	}
	if s.since, err = parseTime(s.Since); err != nil {
		return s, err
	}
	if s.until, err = parseTime(s.Until); err != nil {
		return s, err
	}
	if text := form.Get("upto"); text != "" {
		s.UpTo, err = strconv.ParseUint(text, 10, 64)
	}
	return s, err
}

// parseTime returns a time before now, or zero for "".
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, offset, err := figures.ParseTime(text)
	if at.IsZero() {
		at = time.Now().Add(-offset)
	}
	return at, err
}

// Filtered reports whether a filter is set.
func (s selection) Filtered() bool {
	return s.Reason != "" || s.Pointer != "" || s.Caller != "" || s.Since != "" || s.Until != ""
}

// fixed returns the selection with times in place of durations, so that it does not change.
func (s selection) fixed() selection {
	if s.Since != "" {
		s.Since = s.since.UTC().Format(time.RFC3339Nano)
	}
	if s.Until != "" {
		s.Until = s.until.UTC().Format(time.RFC3339Nano)
	}
	return s
}

// Link returns the path of the page with the rejections of a group.
func (s selection) Link(g rejected.Group) string {
	query := url.Values{"reason": {string(g.Reason)}}
	for name, value := range map[string]string{"pointer": g.Pointer, "caller": s.Caller, "since": s.Since, "until": s.Until} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return "/rejections?" + query.Encode()
}

// each yields the selected rejections, oldest first. An id without one has an error with domain.CodeNotFound.
func (s selection) each(ctx context.Context, from *publisher.Rejections) iter.Seq2[publisher.StoredRejection, error] {
	if len(s.IDs) > 0 {
		return rejected.ByID(ctx, from, s.IDs, s.UpTo)
	}
	filter := publisher.RejectionFilter{Pointer: s.Pointer, Caller: s.Caller, Since: s.since, Until: s.until, UpTo: s.UpTo}
	if s.Reason != "" {
		filter.Reasons = []domain.Code{s.Reason}
	}
	return from.All(ctx, filter)
}

// existing is each without the ids that have no rejection.
func (s selection) existing(ctx context.Context, from *publisher.Rejections) iter.Seq2[publisher.StoredRejection, error] {
	return func(yield func(publisher.StoredRejection, error) bool) {
		for r, err := range s.each(ctx, from) {
			if domain.CodeOf(err) != domain.CodeNotFound && !yield(r, err) {
				return
			}
		}
	}
}

// openRejections returns the rejections, and a context in which all of them can be read: that takes longer than other requests may.
func (c *Console) openRejections(w http.ResponseWriter, r *http.Request) (*publisher.Rejections, context.Context, context.CancelFunc, error) {
	ctx, cancel, err := withTime(w, r, scanTimeout)
	if err != nil {
		return nil, nil, nil, err
	}
	rejections, err := publisher.OpenRejections(ctx, c.cfg.Conn)
	if err != nil {
		cancel()
		return nil, nil, nil, err
	}
	return rejections, ctx, cancel, nil
}
