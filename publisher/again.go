package publisher

import (
	"context"
	"sync"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// floorInterval is the minimum interval at which a log reads the ack floor, and at which it asks for a command.
	floorInterval = time.Second
	// askInterval is the minimum interval at which it asks for the same command.
	askInterval = 10 * time.Second
)

// lostOutcomes finds completed commands whose outcomes were lost, and asks workers to process them again.
type lostOutcomes struct {
	total prometheus.Counter

	mu    sync.Mutex
	floor uint64    // the ack floor of the workers
	read  time.Time // when it was read
	last  time.Time // when a worker was asked last
	asked map[uuid.UUID]time.Time
}

// completed is Log.Completed.
func (o *lostOutcomes) completed(ctx context.Context, commands jetstream.Stream, sequence uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if sequence <= o.floor || time.Since(o.read) < floorInterval {
		return sequence <= o.floor
	}
	o.read = time.Now()
	o.mu.Unlock() // other requests need not wait
	worker, err := commands.Consumer(ctx, domain.ConsumerWorker)
	o.mu.Lock()
	if err != nil {
		return false
	}
	o.floor = worker.CachedInfo().AckFloor.Stream
	return sequence <= o.floor
}

// due reports whether a worker may be asked for this command now. If so, due records it.
func (o *lostOutcomes) due(command uuid.UUID, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.last) < floorInterval || now.Sub(o.asked[command]) < askInterval {
		return false
	}
	for id, at := range o.asked {
		if now.Sub(at) >= askInterval {
			delete(o.asked, id)
		}
	}
	o.last = now
	o.asked[command] = now
	return true
}
