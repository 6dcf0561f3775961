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

// add adds a delivery. When there are too many, a failure replaces a success, and other successes are dropped.
func (r *records) add(name string, d endpoint.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting[name]
	if len(waiting) < recordsPerWrite {
		r.waiting[name] = append(waiting, d)
		return
	}
	if d.Result == endpoint.Delivered {
		return
	}
	for i := range waiting {
		if waiting[i].Result == endpoint.Delivered {
			r.waiting[name] = append(append(waiting[:i:i], waiting[i+1:]...), d)
			return
		}
	}
}

// take returns and forgets what waits.
func (r *records) take() map[string][]endpoint.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting
	r.waiting = map[string][]endpoint.Delivery{}
	return waiting
}
