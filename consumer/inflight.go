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
	mu      sync.Mutex
	batches map[*[]jetstream.Msg]struct{}
}

// add adds a batch. release removes it.
func (f *inFlight) add(msgs []jetstream.Msg) (release func()) {
	batch := &msgs
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.batches == nil {
		f.batches = make(map[*[]jetstream.Msg]struct{})
	}
	f.batches[batch] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.batches, batch)
	}
}

// heartbeat reports the batches as in progress at this interval until the context ends.
func (f *inFlight) heartbeat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.mu.Lock()
			for batch := range f.batches {
				for _, msg := range *batch {
					_ = msg.InProgress() // an unreachable server does not redeliver either
				}
			}
			f.mu.Unlock()
		}
	}
}
