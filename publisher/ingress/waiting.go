package ingress

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// waiting limits how many requests wait for an outcome: they occupy memory, but no slot of the middleware.
type waiting struct {
	slots    chan struct{} // nil for no limit
	requests prometheus.Gauge
	declined prometheus.Counter
}

func newWaiting(most int, metrics prometheus.Registerer) waiting {
	w := waiting{
		requests: promauto.With(metrics).NewGauge(prometheus.GaugeOpts{
			Name: "clientele_http_waiting_requests", Help: "Requests that wait for the outcome of a command.",
		}),
		declined: promauto.With(metrics).NewCounter(prometheus.CounterOpts{
			Name: "clientele_http_waits_declined_total", Help: "Requests that were answered at once, because too many others waited.",
		}),
	}
	if most > 0 {
		w.slots = make(chan struct{}, most)
	}
	return w
}

// enter reports whether one more request may wait. If so, call leave in the end.
func (w waiting) enter() bool {
	if w.slots != nil {
		select {
		case w.slots <- struct{}{}:
		default:
			w.declined.Inc()
			return false
		}
	}
	w.requests.Inc()
	return true
}

func (w waiting) leave() {
	w.requests.Dec()
	if w.slots != nil {
		<-w.slots
	}
}
