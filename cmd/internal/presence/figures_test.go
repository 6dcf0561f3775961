package presence_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/presence"
	"clientele/publisher/publishertest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are those of an ingress and a worker.
type metrics struct {
	*prometheus.Registry

	responses *prometheus.HistogramVec
	batches   prometheus.Histogram
}

func newMetrics() metrics {
	registry := prometheus.NewRegistry()
	return metrics{
		registry,
		promauto.With(registry).NewHistogramVec(prometheus.HistogramOpts{
			Name: presence.ResponseTime, Buckets: []float64{0.01, 0.1, 1},
		}, []string{"route", "code"}),
		promauto.With(registry).NewHistogram(prometheus.HistogramOpts{Name: presence.BatchSize, Buckets: []float64{1, 10, 100}}),
	}
}

// respond counts responses.
func (m metrics) respond(n int, route, code string, seconds float64) {
	for range n {
		m.responses.WithLabelValues(route, code).Observe(seconds)
	}
}

// text returns the figures that are not 0.
func text(f presence.Figures) string {
	var all []string
	for _, a := range f.Answers {
		all = append(all, fmt.Sprintf("%s: %.1f/s of %d", a.Status, a.PerSecond, a.Total))
	}
	for _, d := range f.Distributions {
		if d.Count > 0 {
			all = append(all, fmt.Sprintf("%s: %d, mean %.3f, p99 %g", strings.TrimPrefix(d.Metric, "clientele_"), d.Count, d.Mean, d.P99))
		}
	}
	return strings.Join(all, "; ")
}

func TestFiguresOfTheLastTenSeconds(t *testing.T) {
	t.Parallel()
	m, began := newMetrics(), time.Now()
	var w presence.Window
	at := func(seconds float64, want string) {
		t.Helper()
		now := began.Add(time.Duration(seconds * float64(time.Second)))
		if got := text(w.Figures(presence.Serve, m, now)); got != want {
			t.Errorf("after %.0f s: %s, want %s", seconds, got, want)
		}
	}
	m.respond(5, "/api/v2/clients", "202", 0.05)
	at(0, "202: 0.0/s of 5") // what was before is not within the window
	m.respond(98, "/api/v2/clients", "202", 0.05)
	m.respond(2, "/api/v2/operations/{id}", "200", 0.5)
	m.respond(1, "/docs", "200", 0.5)
	m.batches.Observe(30)
	at(5, "200: 0.4/s of 2; 202: 19.6/s of 103; http_request_duration_seconds: 100, mean 0.059, p99 1; worker_batch_commands: 1, mean 30.000, p99 100")
	at(12, "200: 0.2/s of 2; 202: 8.2/s of 103; http_request_duration_seconds: 100, mean 0.059, p99 1; worker_batch_commands: 1, mean 30.000, p99 100")
	at(15, "200: 0.0/s of 2; 202: 0.0/s of 103")
	m.batches.Observe(1_000) // above all bounds
	m.batches.Observe(1)
	at(16, "200: 0.0/s of 2; 202: 0.0/s of 103; worker_batch_commands: 2, mean 500.500, p99 100")
}

// The figures of all processes are added up.
func TestFiguresOfAllProcesses(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	one, two, worker := newMetrics(), newMetrics(), newMetrics()
	for role, all := range map[string][]metrics{presence.Ingress: {one, two}, presence.Worker: {worker}} {
		for _, m := range all {
			announce(t, presence.Config{Conn: s.Connect(t), Role: role, Ready: ready, Metrics: m})
		}
	}
	l := listen(t, s.Connect(t))
	publishertest.Eventually(t, "all are listed", func() bool { return len(processes(t, l)) == 3 })
	one.respond(3, "/api/v2/clients", "202", 0.05)
	two.respond(1, "/api/v2/clients", "202", 0.005)
	two.respond(1, "/api/v2/clients", "422", 0.005)
	worker.batches.Observe(4)
	worker.respond(9, "/api/v2/clients", "202", 0.005) // a worker has no API
	publishertest.Eventually(t, "the figures of all", func() bool {
		_, f, err := l.Processes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		totals := map[string]uint64{}
		for _, a := range f.Answers {
			totals[a.Status] = a.Total
		}
		return maps.Equal(totals, map[string]uint64{"202": 4, "422": 1}) &&
			text(presence.Figures{Distributions: f.Distributions}) == "http_request_duration_seconds: 5, mean 0.032, p99 0.1; worker_batch_commands: 1, mean 4.000, p99 10"
	})
}

// What no process can have measured spoils no figures.
func TestFiguresOfOthers(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	nc := s.Connect(t)
	l := listen(t, nc)
	histogram := func(body string) string {
		return fmt.Sprintf(`"histograms":{%q:%s,"other":{"count":9}}`, presence.ResponseTime, body)
	}
	many := func(n int, entry string) string { // an object with many members
		entries := make([]string, n)
		for i := range entries {
			entries[i] = fmt.Sprintf(entry, i+100)
		}
		return "{" + strings.Join(entries, ",") + "}"
	}
	all := map[string]string{
		"sum":      histogram(`{"count":1,"sum":1e300}`),
		"negative": histogram(`{"count":1,"sum":-1}`),
		"bound":    histogram(`{"count":1,"sum":1,"buckets":{"1e300":1}}`),
		"count":    histogram(`{"count":18446744073709551615,"sum":1}`),
		"buckets":  histogram(`{"count":1,"sum":1,"buckets":` + many(100, `"%d":1`) + `}`),
		"statuses": `"answers":` + many(100, `"%d":{"count":1,"total":1}`),
		"long":     `"answers":{"<script>":{"count":1,"total":1}}`,
		"letters":  `"answers":{"<b>":{"count":1,"total":1}}`,
		"answers":  `"answers":{"202":{"count":18446744073709551615,"total":1}}`,
		"total":    `"answers":{"202":{"count":1,"total":18446744073709551615}}`,
		"good":     histogram(`{"count":1,"sum":1,"buckets":{"1":1}}`) + `,"answers":{"202":{"count":10,"total":20}}`,
	}
	publishertest.Eventually(t, "all are listed", func() bool {
		for id, measured := range all {
			if err := nc.Publish("presence.serve", fmt.Appendf(nil, `{"id":%q,"measured":{"seconds":10,%s}}`, id, measured)); err != nil {
				t.Fatal(err)
			}
		}
		return len(processes(t, l)) == len(all)
	})
	_, f, err := l.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(f), "202: 1.0/s of 20; http_request_duration_seconds: 1, mean 1.000, p99 1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := json.Marshal(f); err != nil || slices.ContainsFunc(f.Distributions, func(d presence.Distribution) bool { return math.IsNaN(d.Mean) }) {
		t.Errorf("%v: %+v", err, f)
	}
}
