package forward

import (
	"sync"

	"clientele/publisher/endpoint"
)

// recordsPerWrite is how many deliveries of an endpoint are recorded each second. Failures have precedence. A write of each delivery
// would cost a sync each; the metrics count all of them.
const recordsPerWrite = 25

// records are deliveries that wait to be written, by endpoint.
type records struct {
	mu      sync.Mutex
	waiting map[string][]endpoint.Delivery
}

// add adds deliveries.
func (r *records) add(name string, deliveries ...endpoint.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range deliveries {
		r.waiting[name] = with(r.waiting[name], d)
	}
}

// with returns the deliveries with another one. When there are too many, a failure replaces a success, and other successes are dropped.
func with(waiting []endpoint.Delivery, d endpoint.Delivery) []endpoint.Delivery {
	if len(waiting) < recordsPerWrite {
		return append(waiting, d)
	}
	if d.Result == endpoint.Delivered {
		return waiting
	}
	for i := range waiting {
		if waiting[i].Result == endpoint.Delivered {
			return append(append(waiting[:i:i], waiting[i+1:]...), d)
		}
	}
	return waiting
}

// take returns and forgets what waits.
func (r *records) take() map[string][]endpoint.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting
	r.waiting = map[string][]endpoint.Delivery{}
	return waiting
}
