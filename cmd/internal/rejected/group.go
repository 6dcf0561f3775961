// Package rejected groups rejections by their cause, selects them, and retries or drops them on the record. The command line and the
// console share it.
package rejected

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"clientele/domain"
	"clientele/publisher"
)

// Cause is what the rejections of a group have in common.
type Cause struct {
	Reason domain.Code
	// Pointer is the JSON Pointer of the member that violates a rule, or "" if the whole command does.
	Pointer string
	// Detail is the error about the whole command, which contains no values.
	Detail string
}

// Group counts the rejections that have a cause.
type Group struct {
	Cause

	Count       int
	First, Last time.Time // the earliest and the latest rejection
}

// causesOf returns the causes of a rejection.
func causesOf(r publisher.StoredRejection) map[Cause]bool {
	causes := map[Cause]bool{}
	for _, v := range r.Errors {
		c := Cause{Reason: r.Reason, Pointer: v.Pointer}
		if v.Pointer == "" {
			c.Detail = v.Detail
		}
		causes[c] = true
	}
	if len(causes) == 0 {
		causes[Cause{Reason: r.Reason}] = true
	}
	return causes
}

// Groups collects groups. A rejection with errors in several members counts for each of them.
type Groups map[Cause]Group

// Add counts a rejection.
func (g Groups) Add(r publisher.StoredRejection) {
	for c := range causesOf(r) {
		group, exists := g[c]
		if !exists {
			group = Group{Cause: c, First: r.RejectedAt, Last: r.RejectedAt}
		}
		group.Count++
		if r.RejectedAt.Before(group.First) {
			group.First = r.RejectedAt
		}
		if r.RejectedAt.After(group.Last) {
			group.Last = r.RejectedAt
		}
		g[c] = group
	}
}

// Sorted returns the groups, the largest first.
func (g Groups) Sorted() []Group {
	return slices.SortedFunc(maps.Values(g), func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Detail, b.Detail))
	})
}

// GroupsOf groups rejections by cause, the largest group first.
func GroupsOf(rejections iter.Seq2[publisher.StoredRejection, error]) ([]Group, error) {
	groups := Groups{}
	for r, err := range rejections {
		if err != nil {
			return nil, err
		}
		groups.Add(r)
	}
	return groups.Sorted(), nil
}
