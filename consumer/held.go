package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// held are the batches in hand. While they are, the server hears that they are in progress, so that waiting for a
// database costs no delivery.
type held struct {
	mu      sync.Mutex
	batches map[*[]jetstream.Msg]struct{}
}

// hold takes a batch in hand until the function that it returns is called.
func (h *held) hold(msgs []jetstream.Msg) (release func()) {
	batch := &msgs
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.batches == nil {
		h.batches = make(map[*[]jetstream.Msg]struct{})
	}
	h.batches[batch] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.batches, batch)
	}
}

// beat reports the batches in hand as in progress, again and again until the context ends.
func (h *held) beat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.mu.Lock()
			for batch := range h.batches {
				for _, msg := range *batch {
					_ = msg.InProgress() // the server is away: it does not redeliver either
				}
			}
			h.mu.Unlock()
		}
	}
}
