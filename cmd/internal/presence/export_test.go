package presence

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Window measures the metrics of a process of a role at given times.
type Window struct{ window window }

// Figures returns the figures at one time.
func (w *Window) Figures(role string, metrics prometheus.Gatherer, now time.Time) Figures {
	all := newSum()
	all.add(role, w.window.measure(gather(metrics, now)))
	return all.figures()
}
