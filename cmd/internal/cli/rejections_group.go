package cli

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"clientele/domain"
	"clientele/publisher"
)

// cause is what the rejections of a group have in common.
type cause struct {
	reason domain.Code
	// pointer is the JSON Pointer of the member that violates a rule, or "" if the whole command does.
	pointer string
	// detail is the error about the whole command, which contains no values.
	detail string
}

// rejectionGroup counts the rejections that have a cause.
type rejectionGroup struct {
	cause

	count       int
	first, last time.Time // the earliest and the latest rejection
}

// causesOf returns the causes of a rejection.
func causesOf(r publisher.StoredRejection) map[cause]bool {
	causes := map[cause]bool{}
	for _, v := range r.Errors {
		c := cause{reason: r.Reason, pointer: v.Pointer}
		if v.Pointer == "" {
			c.detail = v.Detail
		}
		causes[c] = true
	}
	if len(causes) == 0 {
		causes[cause{reason: r.Reason}] = true
	}
	return causes
}

// groupsOf groups rejections by cause, the largest group first.
func groupsOf(rejections iter.Seq2[publisher.StoredRejection, error]) ([]rejectionGroup, error) {
	groups := map[cause]rejectionGroup{}
	for r, err := range rejections {
		if err != nil {
			return nil, err
		}
		for c := range causesOf(r) {
			g, exists := groups[c]
			if !exists {
				g = rejectionGroup{cause: c, first: r.RejectedAt, last: r.RejectedAt}
			}
			g.count++
			if r.RejectedAt.Before(g.first) {
				g.first = r.RejectedAt
			}
			if r.RejectedAt.After(g.last) {
				g.last = r.RejectedAt
			}
			groups[c] = g
		}
	}
	return slices.SortedFunc(maps.Values(groups), func(a, b rejectionGroup) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.reason, b.reason), cmp.Compare(a.pointer, b.pointer), cmp.Compare(a.detail, b.detail))
	}), nil
}

// printGroups prints the groups of rejections.
func printGroups(e env, rejections iter.Seq2[publisher.StoredRejection, error], asJSON bool) error {
	groups, err := groupsOf(rejections)
	if err != nil {
		return err
	}
	return list[rejectionGroup]{
		unit: "group", header: []string{"REASON", "COUNT", "FIRST", "LAST", "WRONG"},
		columns: groupColumns, json: func(g rejectionGroup) error { return printGroupJSON(e, g) },
	}.write(e, func(yield func(rejectionGroup, error) bool) {
		for _, g := range groups {
			if !yield(g, nil) {
				return
			}
		}
	}, asJSON)
}

func groupColumns(g rejectionGroup) []string {
	return []string{
		display(string(g.reason)), strconv.Itoa(g.count), g.first.UTC().Format(time.RFC3339), g.last.UTC().Format(time.RFC3339),
		orDash(g.pointer + g.detail),
	}
}

func printGroupJSON(e env, g rejectionGroup) error {
	return printJSON(e, struct {
		Reason  domain.Code `json:"reason"`
		Pointer string      `json:"pointer"`
		Detail  string      `json:"detail,omitzero"`
		Count   int         `json:"count"`
		First   time.Time   `json:"first"`
		Last    time.Time   `json:"last"`
	}{g.reason, g.pointer, g.detail, g.count, g.first.UTC(), g.last.UTC()})
}
