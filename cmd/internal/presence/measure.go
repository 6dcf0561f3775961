package presence

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// What a process measures is the part of its metrics that an operator looks at first.

// windowLength is how far back the figures go.
const windowLength = 10 * time.Second

// measured is what a process measured within the window.
type measured struct {
	Seconds float64 `json:"seconds"` // the length of the window
	// Answers are the responses of the API by HTTP status, and Histograms the distributions by the name of their metric.
	Answers    map[string]answers   `json:"answers,omitzero"`
	Histograms map[string]histogram `json:"histograms,omitzero"`
}

// answers are the responses with one status.
type answers struct {
	Count uint64 `json:"count"`
	Total uint64 `json:"total"` // since the start of the process
}

// histogram is a distribution, over all labels of its metric.
type histogram struct {
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"`
	// Buckets count the values up to a bound, and above the bound below. The highest one also counts those above it. A bucket without
	// values is omitted.
	Buckets map[float64]uint64 `json:"buckets,omitzero"`
}

// totals are what the metrics say at one time, since the start of the process.
type totals struct {
	at         time.Time
	answers    map[string]uint64
	histograms map[string]histogram
}

// gather reads the metrics. Requests for pages are not counted.
func gather(metrics prometheus.Gatherer, now time.Time) totals {
	t := totals{at: now, answers: map[string]uint64{}, histograms: map[string]histogram{}}
	families, _ := metrics.Gather() // an error is about other metrics
	for _, family := range families {
		if name := family.GetName(); slices.ContainsFunc(shown, func(s shownMetric) bool { return s.metric == name }) {
			t.histograms[name] = t.add(family.GetMetric())
		}
	}
	return t
}

// add adds up the histograms of a family, and the answers by their status.
func (t totals) add(family []*dto.Metric) histogram {
	sum := histogram{Buckets: map[float64]uint64{}}
	for _, metric := range family {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		if route, ok := labels["route"]; ok && !strings.HasPrefix(route, "/api/") {
			continue // a page
		}
		h := metric.GetHistogram()
		if code := labels["code"]; code != "" {
			t.answers[code] += h.GetSampleCount()
		}
		sum.Count += h.GetSampleCount()
		sum.Sum += h.GetSampleSum()
		var bound float64
		var below uint64
		for _, b := range h.GetBucket() { // cumulative
			bound = b.GetUpperBound()
			sum.Buckets[bound] += b.GetCumulativeCount() - below
			below = b.GetCumulativeCount()
		}
		sum.Buckets[bound] += h.GetSampleCount() - below
	}
	return sum
}

// since returns what was measured since earlier totals.
func (t totals) since(before totals) measured {
	m := measured{Seconds: t.at.Sub(before.at).Seconds(), Answers: map[string]answers{}, Histograms: map[string]histogram{}}
	for status, total := range t.answers {
		m.Answers[status] = answers{total - before.answers[status], total}
	}
	for name, now := range t.histograms {
		if h := now.since(before.histograms[name]); h.Count > 0 {
			m.Histograms[name] = h
		}
	}
	return m
}

func (h histogram) since(before histogram) histogram {
	d := histogram{Count: h.Count - before.Count, Sum: h.Sum - before.Sum, Buckets: map[float64]uint64{}}
	for bound, count := range h.Buckets {
		if n := count - before.Buckets[bound]; n > 0 {
			d.Buckets[bound] = n
		}
	}
	return d
}

// window keeps the totals of the last ten seconds.
type window struct{ kept []totals }

// measure adds the newest totals, and returns what was measured within the window.
func (w *window) measure(now totals) measured {
	w.kept = append(w.kept, now)
	for len(w.kept) > 2 && now.at.Sub(w.kept[1].at) >= windowLength {
		w.kept = w.kept[1:]
	}
	return now.since(w.kept[0])
}
