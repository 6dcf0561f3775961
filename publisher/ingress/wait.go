package ingress

import (
	"context"
	"net/http"
	"time"

	"clientele/publisher/ingress/request"

	"github.com/google/uuid"
)

// waiter waits for the outcome of an operation.
type waiter struct {
	completed   <-chan struct{} // nil when there is nothing left to wait for
	timeout     <-chan time.Time
	stopping    <-chan struct{}
	releaseSlot func()
	stop        func()
}

// newWaiter returns a waiter that notices every outcome from now on, and sets the headers for the preference of the caller. If the
// caller does not prefer to wait, or too many requests wait, it waits for nothing. Call stop in the end.
func (a *api) newWaiter(w http.ResponseWriter, r *http.Request, id uuid.UUID, releaseSlot func()) (waiter, error) {
	p := request.Prefer(r.Header)
	if p.Wait > 0 && !a.waiting.enter() {
		p = request.Preference{}
	}
	p.SetHeaders(w.Header())
	if p.Wait == 0 {
		return waiter{stop: func() {}}, nil
	}
	completed, unwatch, err := a.log.Watch(id)
	if err != nil {
		a.waiting.leave()
		return waiter{}, err
	}
	stop := func() { unwatch(); a.waiting.leave() }
	return waiter{completed: completed, timeout: time.After(p.Wait), stopping: a.stopping, releaseSlot: releaseSlot, stop: stop}, nil
}

// waits reports whether the request waits for an outcome.
func (w *waiter) waits() bool { return w.completed != nil }

// next waits until it is time to look up the operation, and reports whether it is. The operation may have completed, or the wait
// is over; then the look-up is the last one, and next returns false from now on. It also returns false after the caller hung up.
func (w *waiter) next(ctx context.Context) bool {
	if w.completed == nil {
		return false
	}
	w.releaseSlot()
	select {
	case <-w.completed:
		return true
	case <-w.timeout:
		w.completed = nil
		return true
	case <-w.stopping:
		w.completed = nil
		return true
	case <-ctx.Done():
		return false
	}
}
