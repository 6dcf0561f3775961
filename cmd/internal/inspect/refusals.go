package inspect

import (
	"context"
	"sync"
)

// Refusals passes on what NATS refuses on one connection. A request without the right receives no response, so without it a look
// would only time out. The zero value is ready to use. It is safe for concurrent use.
type Refusals struct {
	mu      sync.Mutex
	waiting map[int]context.CancelCauseFunc
	next    int
}

// Add takes a *refusal.PermissionError. It ends the requests in progress with it.
func (r *Refusals) Add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, end := range r.waiting {
		end(err)
	}
}

// During returns a context that ends with the next refusal, which is its cause. The caller calls stop. A nil *Refusals refuses nothing.
func (r *Refusals) During(parent context.Context) (ctx context.Context, stop func()) {
	ctx, end := context.WithCancelCause(parent)
	if r == nil {
		return ctx, func() { end(nil) }
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = map[int]context.CancelCauseFunc{}
	}
	id := r.next
	r.next++
	r.waiting[id] = end
	return ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiting, id)
		end(nil)
	}
}
