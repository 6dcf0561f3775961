package presence

import (
	"maps"
	"math"
	"slices"
	"strconv"
)

// Figures are those of all live processes together, over the last ten seconds of each.
type Figures struct {
	// Answers are the responses of the API, by HTTP status. Pages are not counted.
	Answers []Answers `json:"answers"`
	// Distributions have an entry for each metric that is shown, in a fixed order.
	Distributions []Distribution `json:"distributions"`
}

// Answers are the responses of the API with one HTTP status.
type Answers struct {
	Status    string  `json:"status"`
	PerSecond float64 `json:"perSecond"`
	Total     uint64  `json:"total"` // since the start of each process
}

// Distribution is the distribution of one metric. The mean and the 99th percentile are 0 if the count is. They are seconds if the name of
// the metric says so, or else commands. P99 is the upper bound of the bucket that has the percentile; for a value above all bounds, the
// highest one.
type Distribution struct {
	Metric  string  `json:"metric"`
	Title   string  `json:"-"` // for a table
	Seconds bool    `json:"-"`
	Count   uint64  `json:"count"`
	Mean    float64 `json:"mean"`
	P99     float64 `json:"p99"`
}

// The limits of what a process can announce. Figures beyond them are ignored: they would make the sum useless.
const (
	maxAnswers = 32
	maxBuckets = 64
	maxValue   = 1e12 // seconds, commands or responses
)

// sum adds up what processes measured.
type sum struct {
	answers    map[string]Answers
	histograms map[string]histogram
}

func newSum() *sum { return &sum{map[string]Answers{}, map[string]histogram{}} }

// add adds what a process of a role measured. What a process of its role does not have is ignored.
func (s *sum) add(role string, m measured) {
	if isOf(role, Ingress) && len(m.Answers) <= maxAnswers {
		for status, a := range m.Answers {
			if !isStatus(status) || a.Count > math.MaxUint32 || a.Total > maxValue {
				continue
			}
			of := s.answers[status]
			of.PerSecond += float64(a.Count) / max(m.Seconds, 1)
			of.Total += a.Total
			s.answers[status] = of
		}
	}
	for _, metric := range shown {
		if h := m.Histograms[metric.metric]; isOf(role, metric.role) && h.plausible() {
			s.histograms[metric.metric] = s.histograms[metric.metric].plus(h)
		}
	}
}

// isStatus reports whether a text is an HTTP status.
func isStatus(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 100 && n <= 599
}

// isOf reports whether a process does the work of another role.
func isOf(role, work string) bool { return role == work || role == Serve }

// figures returns the figures of all.
func (s *sum) figures() Figures {
	f := Figures{Answers: []Answers{}}
	for _, status := range slices.Sorted(maps.Keys(s.answers)) {
		a := s.answers[status]
		a.Status = status
		f.Answers = append(f.Answers, a)
	}
	for _, m := range shown {
		h := s.histograms[m.metric]
		d := Distribution{Metric: m.metric, Title: m.title, Seconds: m.seconds, Count: h.Count, P99: h.percentile(0.99)}
		if h.Count > 0 {
			d.Mean = h.Sum / float64(h.Count)
		}
		f.Distributions = append(f.Distributions, d)
	}
	return f
}

// plausible reports whether a histogram can have been measured.
func (h histogram) plausible() bool {
	for bound := range h.Buckets {
		if bound < 0 || bound > maxValue {
			return false
		}
	}
	return len(h.Buckets) <= maxBuckets && h.Sum >= 0 && h.Sum <= maxValue && h.Count <= math.MaxUint32
}

// plus adds two histograms, of which the bounds may differ.
func (h histogram) plus(other histogram) histogram {
	all := histogram{h.Count + other.Count, h.Sum + other.Sum, map[float64]uint64{}}
	for _, buckets := range []map[float64]uint64{h.Buckets, other.Buckets} {
		for bound, count := range buckets {
			all.Buckets[bound] += count
		}
	}
	return all
}

// percentile returns the upper bound of the bucket that has a percentile.
func (h histogram) percentile(p float64) (bound float64) {
	counted := uint64(0)
	for _, bound = range slices.Sorted(maps.Keys(h.Buckets)) {
		if counted += h.Buckets[bound]; float64(counted) >= p*float64(h.Count) {
			break
		}
	}
	return bound
}
