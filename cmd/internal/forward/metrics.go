package forward

import (
	"sync"
	"time"

	"clientele/publisher/endpoint"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are those of the endpoints, by name.
type metrics struct {
	attempts          *prometheus.CounterVec
	duration          *prometheus.HistogramVec
	failing, disabled *prometheus.GaugeVec

	mu    sync.Mutex
	shown map[string]bool // the endpoints with metrics
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f, names := promauto.With(reg), []string{"webhook"}
	return &metrics{
		shown: map[string]bool{},
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "clientele_webhook_attempts_total",
			Help: "Attempts to deliver an event, by result. Events that were given up have failed for the last time.",
		}, []string{"webhook", "result"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "clientele_webhook_attempt_duration_seconds", Help: "How long an attempt takes, with the response.",
			Buckets: []float64{0.005, 0.025, 0.1, 0.5, 2.5, 10, 30},
		}, names),
		failing: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "clientele_webhook_failing_seconds", Help: "How long every attempt has failed; 0 if the last one has succeeded.",
		}, names),
		disabled: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "clientele_webhook_disabled", Help: "1 if the webhook is disabled, because every attempt has failed for too long.",
		}, names),
	}
}

// count counts an attempt.
func (m *metrics) count(name string, result endpoint.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown[name] = true
	m.attempts.WithLabelValues(name, string(result)).Inc()
}

// observe notes how long an attempt has taken.
func (m *metrics) observe(name string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown[name] = true
	m.duration.WithLabelValues(name).Observe(took.Seconds())
}

// show sets the gauges, and removes the metrics of endpoints that do not exist any more. An attempt may add some after an endpoint was
// removed: the next call removes them.
func (m *metrics) show(all []endpoint.Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	exists := make(map[string]bool, len(all))
	for _, e := range all {
		exists[e.Name], m.shown[e.Name] = true, true
		m.gauge(e)
	}
	for name := range m.shown {
		if !exists[name] {
			m.remove(name)
		}
	}
}

func (m *metrics) gauge(e endpoint.Endpoint) {
	failing, disabled := 0.0, 0.0
	switch {
	case e.State() == endpoint.Disabled:
		disabled = 1
	case e.State() == endpoint.Active && !e.Health.FailingSince.IsZero():
		failing = max(0, time.Since(e.Health.FailingSince).Seconds())
	}
	m.failing.WithLabelValues(e.Name).Set(failing)
	m.disabled.WithLabelValues(e.Name).Set(disabled)
}

func (m *metrics) remove(name string) {
	for _, vec := range []interface {
		DeletePartialMatch(labels prometheus.Labels) int
	}{m.attempts, m.duration, m.failing, m.disabled} {
		vec.DeletePartialMatch(prometheus.Labels{"webhook": name})
	}
	delete(m.shown, name)
}
