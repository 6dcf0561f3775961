package ingress

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxWait is the maximum number of seconds that a request waits for an outcome.
const maxWait = 30

// preference is the caller's choice of how to be answered (RFC 7240).
type preference struct {
	wait  time.Duration // 0 to answer at once
	async bool
}

// parsePrefer returns the preferences of a request. It ignores unknown and invalid preferences, as RFC 7240 requires. Of
// several waits, the first one counts.
func parsePrefer(header http.Header) (p preference) {
	for item := range strings.SplitSeq(strings.Join(header.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(item, "=")
		value, _, _ = strings.Cut(value, ";")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		name, _, _ = strings.Cut(name, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			p.async = true
		case "wait":
			seconds, err := strconv.ParseUint(value, 10, 16)
			if err == nil && p.wait == 0 {
				p.wait = time.Duration(min(seconds, maxWait)) * time.Second
			}
		}
	}
	return p
}

// setHeaders sets the headers of a response that depends on the preference.
func (p preference) setHeaders(header http.Header) {
	header.Add("Vary", "Prefer")
	switch {
	case p.wait > 0:
		header.Set("Preference-Applied", "wait="+strconv.Itoa(int(p.wait/time.Second)))
	case p.async:
		header.Set("Preference-Applied", "respond-async")
	}
}

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
	p := parsePrefer(r.Header)
	if p.wait > 0 && !a.waiting.enter() {
		p = preference{}
	}
	p.setHeaders(w.Header())
	if p.wait == 0 {
		return waiter{stop: func() {}}, nil
	}
	completed, unwatch, err := a.log.Watch(id)
	if err != nil {
		a.waiting.leave()
		return waiter{}, err
	}
	stop := func() { unwatch(); a.waiting.leave() }
	return waiter{completed: completed, timeout: time.After(p.wait), stopping: a.stopping, releaseSlot: releaseSlot, stop: stop}, nil
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
