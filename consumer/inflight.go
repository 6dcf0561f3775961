package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// inFlight has the batches in progress. The worker sends heartbeats for them, so that waiting for a database causes no
// redelivery.
type inFlight struct {
	ackWait time.Duration // of the consumer

	mu      sync.Mutex
	batches map[*lease]struct{}
}

// lease is a batch in progress. Until ackWait after since, the server delivers its commands to no other worker.
type lease struct {
	msgs  []jetstream.Msg
	since time.Time // of the fetch, then of the last heartbeat that the server has received; guarded by inFlight.mu
}

// add adds a batch that was requested at this time. release removes it.
func (f *inFlight) add(msgs []jetstream.Msg, since time.Time) (l *lease, release func()) {
	l = &lease{msgs: msgs, since: since}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.batches == nil {
		f.batches = make(map[*lease]struct{})
	}
	f.batches[l] = struct{}{}
	return l, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.batches, l)
	}
}

// lapsed reports whether the server may have delivered the batch to another worker. A lapsed lease stays lapsed.
func (f *inFlight) lapsed(l *lease) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over(l)
}

func (f *inFlight) over(l *lease) bool {
	now := time.Now()
	// The monotonic clock stops while a machine sleeps, and the other one may be set back.
	return max(now.Sub(l.since), now.Round(0).Sub(l.since.Round(0))) >= f.ackWait
}

// heartbeat reports the batches as in progress at this interval until the context ends. flush returns nil when the server has
// received everything that was sent before.
func (f *inFlight) heartbeat(ctx context.Context, every time.Duration, flush func(time.Duration) error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			began := time.Now()
			leases := f.valid()
			for _, l := range leases {
				for _, msg := range l.msgs {
					_ = msg.InProgress() // an unreachable server does not redeliver either
				}
			}
			if len(leases) > 0 && flush(every) == nil {
				f.renew(leases, began)
			}
		}
	}
}

// valid returns the leases that have not lapsed.
func (f *inFlight) valid() (leases []*lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.batches {
		if !f.over(l) {
			leases = append(leases, l)
		}
	}
	return leases
}

// renew renews the leases for which the server has received a heartbeat that was sent at this time.
func (f *inFlight) renew(leases []*lease, sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range leases {
		if !f.over(l) {
			l.since = sent
		}
	}
}
