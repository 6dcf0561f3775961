package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"clientele/cmd/internal/figures"
	"clientele/cmd/internal/presence"
)

const (
	mostStatuses = 4 // for which a line has room
	noneLately   = "none in the last 10 s"
)

// measuredLines returns what the processes measured in the last ten seconds: titles and texts.
func measuredLines(f presence.Figures) [][2]string {
	of := map[string]presence.Distribution{}
	for _, d := range f.Distributions {
		of[d.Metric] = d
	}
	return [][2]string{
		{"Responses", responsesText(f.Answers)},
		{"Latency", timeText(of[presence.ResponseTime])},
		{"Log writes", batchText(of[presence.WriteSize], of[presence.WriteTime])},
		{"Batches", batchText(of[presence.BatchSize], of[presence.BatchTime])},
	}
}

// responsesText returns the most frequent statuses of the last ten seconds.
func responsesText(all []presence.Answers) string {
	all = slices.DeleteFunc(slices.Clone(all), func(a presence.Answers) bool { return a.PerSecond == 0 })
	slices.SortStableFunc(all, func(a, b presence.Answers) int { return cmp.Compare(b.PerSecond, a.PerSecond) })
	all = all[:min(len(all), mostStatuses)]
	texts := make([]string, 0, len(all))
	for _, a := range all {
		texts = append(texts, display(a.Status)+": "+figures.PerSecond(a.PerSecond))
	}
	return cmp.Or(strings.Join(texts, ", "), noneLately)
}

// batchText returns the size of batches, and the time that one takes.
func batchText(size, seconds presence.Distribution) string {
	if size.Count == 0 {
		return noneLately
	}
	return fmt.Sprintf("%.1f commands, %s", size.Mean, timeText(seconds))
}

func timeText(d presence.Distribution) string {
	if d.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("%s on average, p99 up to %s", figures.Millis(d.Mean), figures.Millis(d.P99))
}
