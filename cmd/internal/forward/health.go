package forward

import (
	"sync"
	"time"

	"clientele/publisher/endpoint"
)

// successInterval is how old the recorded time of the last success may be.
const successInterval = time.Minute

// observation is what one process has seen of an endpoint since it began to deliver.
type observation struct {
	// lastSuccess and failingSince are as in endpoint.Health.
	lastSuccess, failingSince time.Time
	lastError                 string
	// broken means that the breaker is open.
	broken bool
}

// observer collects the observation. Events that the receiver refuses for their content do not count.
type observer struct {
	mu sync.Mutex
	observation
}

func (o *observer) note(at time.Time, failure string, broken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = broken
	switch {
	case failure == "":
		o.lastSuccess, o.failingSince, o.lastError = at, time.Time{}, ""
	case o.failingSince.IsZero():
		o.failingSince = at
		fallthrough
	default:
		o.lastError = failure
	}
}

func (o *observer) get() observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.observation
}

// after returns what follows a success that a process has recorded. It ends a failure that began before, so the next attempt that fails
// begins another. If the clock of that process is ahead, a failure counts once the own clock has passed the success.
func (o *observer) after(success time.Time) observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.failingSince.After(success) {
		o.failingSince = time.Time{}
	}
	return o.observation
}

// nextHealth returns the health of an endpoint after what the observer has seen, and whether it differs from the recorded one.
func (o *observer) nextHealth(e endpoint.Endpoint, now time.Time) (next endpoint.Health, changed bool) {
	return nextHealth(e, o.after(e.Health.LastSuccess), now)
}

// nextHealth returns the health of an endpoint after what this process has seen, and whether it differs from the recorded one. All
// processes together have one health: a success in any of them ends the failure of all.
func nextHealth(e endpoint.Endpoint, seen observation, now time.Time) (next endpoint.Health, changed bool) {
	next = e.Health
	switch {
	case seen.lastSuccess.After(next.FailingSince) && !next.FailingSince.IsZero(),
		seen.lastSuccess.After(next.LastSuccess.Add(successInterval)):
		next = endpoint.Health{LastSuccess: seen.lastSuccess}
		changed = true
	}
	if next.FailingSince.IsZero() && seen.failingSince.After(next.LastSuccess) {
		next.FailingSince, next.LastError = seen.failingSince, seen.lastError
		if next.FailingSince.Before(e.ActiveSince) {
			next.FailingSince = e.ActiveSince
		}
		changed = true
	}
	limit := time.Duration(e.DisableAfter)
	if limit > 0 && seen.broken && !next.FailingSince.IsZero() && now.Sub(next.FailingSince) >= limit {
		next.DisabledAt, next.LastError = now, seen.lastError
		changed = true
	}
	return next, changed
}
