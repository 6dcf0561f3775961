package webhook

import "sync"

// breakerFailures is how many failures in a row open a Breaker.
const breakerFailures = 10

// Breaker tells an endpoint that fails from events that fail. It is closed while the endpoint works, and open after ten failures in a row.
// Then probe it with single events, until one succeeds. The zero value is closed. It is safe for concurrent use.
type Breaker struct {
	mu       sync.Mutex
	failures int
}

// Note counts the result of an attempt, and reports whether the breaker is open. An event that the receiver refuses for its content shows
// that the endpoint works.
func (b *Breaker) Note(err error) (open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil || Refused(err) {
		b.failures = 0
	} else {
		b.failures++
	}
	return b.failures >= breakerFailures
}

// Open reports whether the breaker is open.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= breakerFailures
}
