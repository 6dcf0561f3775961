package publisher

import (
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

const (
	// gatherFrom is the size of a batch after which the pool gathers as many requests again. Callers that were answered together send
	// their next requests at about the same time. Without a wait, the first of them would be published alone, and the others after it.
	gatherFrom = 4
	// maxGather is the longest wait for that. A shorter limit is twice the time of the last publish.
	maxGather = 4 * time.Millisecond
)

// pool holds requests until they are published together.
type pool struct {
	maxBatch int
	wake     chan struct{} // holds a token while the pool may have requests in it

	mu       sync.Mutex
	requests []*request
	closed   bool
}

// request is one message in progress, with its waiting caller.
type request struct {
	id         uuid.UUID
	acceptedAt time.Time        // of the command, if the message is one
	msg        func() *nats.Msg // a new one each time
	// same are later requests in the pool for the same id. They share the outcome.
	same   []*request
	answer chan error // of capacity 1: the publisher never waits for the caller

	// Guarded by pool.mu.
	taken, withdrawn bool
}

func newPool(maxBatch int) *pool { return &pool{maxBatch: maxBatch, wake: make(chan struct{}, 1)} }

func (p *pool) add(r *request) {
	p.mu.Lock()
	p.requests = append(p.requests, r)
	p.mu.Unlock()
	p.signal()
}

// close has run return when the pool is empty.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.signal()
}

func (p *pool) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// withdraw withdraws a request unless it is already being published. It reports whether it did.
func (p *pool) withdraw(r *request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.withdrawn = !r.taken
	return r.withdrawn
}

// run calls publish with one batch after the other until the pool is closed and empty.
func (p *pool) run(publish func([]*request)) {
	for range p.wake {
		for batch := p.take(); len(batch) > 0; batch = p.take() {
			began := time.Now()
			publish(batch)
			if len(batch) >= gatherFrom {
				p.gather(len(batch), min(maxGather, 2*time.Since(began)))
			}
		}
		if p.isClosed() {
			return
		}
	}
}

func (p *pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// gather waits until the pool has n requests, or for the limit.
func (p *pool) gather(n int, limit time.Duration) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for p.size() < n {
		select {
		case <-p.wake:
		case <-timeout.C:
			return
		}
	}
}

func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// take removes requests from the pool, up to a batch of different ids.
func (p *pool) take() []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := make([]*request, 0, min(len(p.requests), p.maxBatch))
	first := make(map[uuid.UUID]*request, cap(batch))
	taken := 0
	for _, r := range p.requests {
		if !r.withdrawn {
			if f, ok := first[r.id]; ok {
				f.same = append(f.same, r)
			} else if len(batch) < p.maxBatch {
				first[r.id] = r
				batch = append(batch, r)
			} else {
				break
			}
			r.taken = true
		}
		taken++
	}
	rest := copy(p.requests, p.requests[taken:])
	clear(p.requests[rest:])
	p.requests = p.requests[:rest]
	return batch
}
