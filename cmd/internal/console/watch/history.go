package watch

import (
	"sync"
	"time"
)

// historyLength is how far back the chart goes.
const historyLength = 10 * time.Minute

// counts are the counters of the command log at one time.
type counts struct {
	at                  time.Time
	accepted, completed uint64
}

// history has the counters of the last ten minutes.
type history struct {
	mu  sync.Mutex
	all []counts
}

// add adds the newest counters, and returns the last point of the chart, or nil if there is none yet.
func (h *history) add(now counts) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, now)
	old := 0
	for now.at.Sub(h.all[old].at) > historyLength {
		old++
	}
	h.all = append(h.all[:0], h.all[old:]...)
	if len(h.all) < 2 {
		return nil
	}
	return pointOf(h.all[len(h.all)-2], now)
}

// points returns the chart: times in seconds since 1970, and accepted and completed commands per second, as arrays.
func (h *history) points() [3][]float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	chart := [3][]float64{{}, {}, {}}
	for i := 1; i < len(h.all); i++ {
		for column, value := range pointOf(h.all[i-1], h.all[i]) {
			chart[column] = append(chart[column], value)
		}
	}
	return chart
}

// pointOf returns the time and the rates between two counts. A log that was created again in between has no rate.
func pointOf(before, now counts) []float64 {
	seconds := now.at.Sub(before.at).Seconds()
	rate := func(before, now uint64) float64 {
		if seconds <= 0 || now < before {
			return 0
		}
		return float64(now-before) / seconds
	}
	return []float64{float64(now.at.UnixMilli()) / 1000, rate(before.accepted, now.accepted), rate(before.completed, now.completed)}
}
