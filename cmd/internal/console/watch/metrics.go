package watch

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The figures of the processes, from their metrics. A p99 is the upper bound of its bucket.

// window is how far back the rates of the figures go.
const window = 10 * time.Second

// Figures are the figures of this process since the window began.
type Figures struct {
	Answers []Answers
	Rows    []Row
}

// Answers are the responses of the API with one status.
type Answers struct {
	Status    string
	PerSecond float64
	Total     uint64 // since the process started
}

// Row is the distribution of one figure. Mean and P99 are 0 without a value in the window.
type Row struct {
	Name      string
	Seconds   bool // or else commands
	Mean, P99 float64
}

// distribution is a histogram, over all its labels.
type distribution struct {
	count   uint64
	sum     float64
	buckets map[float64]uint64 // cumulative, by upper bound
}

// totals are what the metrics say at one time.
type totals struct {
	at            time.Time
	answers       map[string]uint64
	distributions map[string]distribution
}

// figure is a histogram that the console shows.
type figure struct {
	metric, name string
	seconds      bool
}

var shown = []figure{
	{"clientele_http_request_duration_seconds", "Response time, with requested waits", true},
	{"clientele_log_publish_batch_commands", "Commands per write to the log", false},
	{"clientele_log_publish_duration_seconds", "Time of a write to the log", true},
	{"clientele_worker_batch_commands", "Commands per batch of the worker", false},
	{"clientele_store_create_duration_seconds", "Time of a batch in the database", true},
}

// gather reads the metrics. Requests for pages are not counted.
func gather(metrics prometheus.Gatherer, now time.Time) totals {
	t := totals{at: now, answers: map[string]uint64{}, distributions: map[string]distribution{}}
	families, _ := metrics.Gather() // an error is about other metrics
	for _, family := range families {
		name := family.GetName()
		if !slices.ContainsFunc(shown, func(f figure) bool { return f.metric == name }) {
			continue
		}
		t.distributions[name] = t.add(family.GetMetric())
	}
	return t
}

// add adds up the distribution of a family, and the answers by their status.
func (t totals) add(family []*dto.Metric) distribution {
	sum := distribution{buckets: map[float64]uint64{}}
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
		sum.count += h.GetSampleCount()
		sum.sum += h.GetSampleSum()
		for _, bucket := range h.GetBucket() {
			sum.buckets[bucket.GetUpperBound()] += bucket.GetCumulativeCount()
		}
	}
	return sum
}

// since returns the figures since earlier totals.
func (t totals) since(before totals) *Figures {
	f := &Figures{}
	seconds := t.at.Sub(before.at).Seconds()
	for _, status := range slices.Sorted(maps.Keys(t.answers)) {
		a := Answers{Status: status, Total: t.answers[status]}
		if seconds > 0 {
			a.PerSecond = float64(a.Total-min(a.Total, before.answers[status])) / seconds
		}
		f.Answers = append(f.Answers, a)
	}
	for _, s := range shown {
		row := Row{Name: s.name, Seconds: s.seconds}
		row.Mean, row.P99 = t.distributions[s.metric].since(before.distributions[s.metric])
		f.Rows = append(f.Rows, row)
	}
	return f
}

// since returns the mean and the upper bound of the bucket that has the 99th percentile. Values above all buckets count as in the last one.
func (d distribution) since(before distribution) (mean, p99 float64) {
	count := d.count - min(d.count, before.count)
	if count == 0 {
		return 0, 0
	}
	for _, bound := range slices.Sorted(maps.Keys(d.buckets)) {
		p99 = bound
		if float64(d.buckets[bound]-before.buckets[bound]) >= 0.99*float64(count) {
			break
		}
	}
	return (d.sum - before.sum) / float64(count), p99
}

// metricsWindow keeps the totals of the window.
type metricsWindow struct {
	metrics prometheus.Gatherer
	kept    []totals
}

// figures returns the figures of the process, or nil if its metrics are unknown.
func (w *metricsWindow) figures(now time.Time) *Figures {
	if w.metrics == nil {
		return nil
	}
	t := gather(w.metrics, now)
	for len(w.kept) > 1 && now.Sub(w.kept[0].at) > window {
		w.kept = w.kept[1:]
	}
	w.kept = append(w.kept, t)
	return t.since(w.kept[0])
}
