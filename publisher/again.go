package publisher

import (
	"context"
	"sync"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
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

// Completed reports whether the workers have completed the command at this sequence, so that its outcome is on disk unless it was lost
// since. It reads the ack floor at most once a second. So it also returns false for a command that was completed since the last time.
func (l *Log) Completed(ctx context.Context, sequence uint64) bool {
	o := &l.lost
	o.mu.Lock()
	defer o.mu.Unlock()
	if sequence <= o.floor || time.Since(o.read) < floorInterval {
		return sequence <= o.floor
	}
	o.read = time.Now()
	o.mu.Unlock() // other requests need not wait
	worker, err := l.commands.Consumer(ctx, domain.ConsumerWorker)
	o.mu.Lock()
	if err != nil {
		return false
	}
	o.floor = worker.CachedInfo().AckFloor.Stream
	return sequence <= o.floor
}

// ProcessAgain asks a worker to process a completed command again, and reports whether it did. It does not if it has asked for any
// command within a second, or for this one within ten.
func (l *Log) ProcessAgain(ctx context.Context, command uuid.UUID) (bool, error) {
	if !l.lost.due(command, time.Now()) {
		return false, nil
	}
	id, err := domain.NewID()
	if err != nil {
		return false, err
	}
	l.lost.total.Inc()
	return true, l.publish(ctx, id, func() *nats.Msg {
		return &nats.Msg{Subject: domain.SubjectSync + id.String(), Header: nats.Header{}, Data: []byte(command.String())}
	})
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
