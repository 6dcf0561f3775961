package cli

import (
	"iter"
	"strconv"
	"time"

	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher"
)

// printGroups prints the groups of rejections.
func printGroups(e env, rejections iter.Seq2[publisher.StoredRejection, error], asJSON bool) error {
	groups, err := rejected.GroupsOf(rejections)
	if err != nil {
		return err
	}
	return list[rejected.Group]{
		unit: "group", header: []string{"REASON", "COUNT", "FIRST", "LAST", "WRONG"},
		columns: groupColumns, json: func(g rejected.Group) error { return printGroupJSON(e, g) },
	}.write(e, func(yield func(rejected.Group, error) bool) {
		for _, g := range groups {
			if !yield(g, nil) {
				return
			}
		}
	}, asJSON)
}

func groupColumns(g rejected.Group) []string {
	return []string{
		display(string(g.Reason)), strconv.Itoa(g.Count), g.First.UTC().Format(time.RFC3339), g.Last.UTC().Format(time.RFC3339),
		orDash(g.Pointer + g.Detail),
	}
}

func printGroupJSON(e env, g rejected.Group) error {
	return printJSON(e, struct {
		Reason  domain.Code `json:"reason"`
		Pointer string      `json:"pointer"`
		Detail  string      `json:"detail,omitzero"`
		Count   int         `json:"count"`
		First   time.Time   `json:"first"`
		Last    time.Time   `json:"last"`
	}{g.Reason, g.Pointer, g.Detail, g.Count, g.First.UTC(), g.Last.UTC()})
}
