// Package watch looks at an installation for the viewers of the console, and remembers what its chart shows.
package watch

import (
	"context"
	"sync"
	"time"

	"clientele/cmd/internal/inspect"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// lookInterval is the time between two looks while somebody watches. All viewers share a look.
	lookInterval = 2 * time.Second
	// countInterval is the time between two readings of the counters for the chart while nobody watches: two requests to NATS, and none
	// to the database.
	countInterval = 10 * time.Second
)

// Snapshot is what one look found.
type Snapshot struct {
	Status inspect.Status
	// Failure says why NATS cannot be read, or is "".
	Failure string
	Events  []Event
	Point   []float64 // the last one of the chart, or nil
}

// Config configures New.
type Config struct {
	// Looker looks at NATS and the database. Nothing else uses it.
	Looker    *inspect.Looker
	JetStream jetstream.JetStream
	// Explain rewrites errors for an operator.
	Explain func(error) error
}

// Watch looks at an installation, once for all viewers.
type Watch struct {
	cfg Config

	history history
	events  recentEvents

	wake chan struct{} // of capacity 1: a viewer arrived

	mu      sync.Mutex
	viewers map[chan *Snapshot]struct{}
	last    *Snapshot
	lookAt  time.Time // of last
}

// New returns a Watch, which looks while Run runs.
func New(cfg Config) *Watch {
	return &Watch{
		cfg: cfg, events: recentEvents{js: cfg.JetStream},
		wake: make(chan struct{}, 1), viewers: map[chan *Snapshot]struct{}{},
	}
}

// Close ends a Watch that does not run.
func (w *Watch) Close() { w.cfg.Looker.Close() }

// Join returns a channel that receives each look from now on: the newest one, if the viewer is slow. The last look is the first, unless
// it is old. The viewer calls leave.
func (w *Watch) Join() (looks <-chan *Snapshot, leave func()) {
	viewer := make(chan *Snapshot, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.viewers[viewer] = struct{}{}
	if w.last != nil && time.Since(w.lookAt) < 2*lookInterval {
		viewer <- w.last
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return viewer, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.viewers, viewer)
	}
}

// Points returns the chart of the last ten minutes: times in seconds since 1970, and accepted and completed commands per second.
func (w *Watch) Points() [3][]float64 { return w.history.points() }

// One returns a look that is at most a few seconds old.
func (w *Watch) One(ctx context.Context) *Snapshot {
	looks, leave := w.Join()
	defer leave()
	select {
	case s := <-looks:
		return s
	case <-ctx.Done():
		return &Snapshot{Failure: "no answer in time"}
	}
}

// Run looks, or reads the counters, until the context ends.
func (w *Watch) Run(ctx context.Context) {
	defer w.cfg.Looker.Close()
	var counted time.Time
	for {
		w.mu.Lock()
		watched, due := len(w.viewers) > 0, w.lookAt.Add(lookInterval)
		w.mu.Unlock()
		if !watched {
			due = counted.Add(countInterval)
		}
		if wait := time.Until(due); wait > 0 {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			case <-time.After(wait):
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		counted = time.Now()
		if watched {
			w.publish(w.look(ctx))
		} else if accepted, completed, err := w.cfg.Looker.Count(ctx); err == nil {
			w.history.add(counts{time.Now(), accepted, completed})
		}
	}
}

// publish sends a look to all viewers.
func (w *Watch) publish(s *Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.lookAt = s, time.Now()
	for viewer := range w.viewers {
		select {
		case <-viewer: // the viewer has not received the look before
		default:
		}
		viewer <- s
	}
}

// look looks at everything.
func (w *Watch) look(ctx context.Context) *Snapshot {
	var s Snapshot
	status, err := w.cfg.Looker.Look(ctx)
	s.Status = status
	switch {
	case err != nil:
		s.Failure = w.cfg.Explain(err).Error()
	case status.Commands.Error == "":
		s.Point = w.history.add(counts{time.Now(), status.Commands.Accepted, status.Commands.Completed})
		fallthrough
	default:
		s.Events, _ = w.events.read(ctx) // a stream that does not answer is a problem of the status already
	}
	return &s
}
