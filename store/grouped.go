package store

import (
	"context"
	"sync"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

const (
	// groupQueries is the most queries of a Grouped in progress. With two, a connection that does not answer stops no others.
	groupQueries = 2
	// groupIDs is the number of ids from which a query takes no further calls.
	groupIDs = 500
)

// Grouped is a Reader whose GetAll joins concurrent calls: while two queries are in progress, further calls gather, and share the next.
// A database looks up many ids at once in less time than one by one. A call waits for no timer.
type Grouped struct {
	Reader

	mu      sync.Mutex
	waiting []*read
	queries int // in progress
}

// read is a call of GetAll.
type read struct {
	ids      []uuid.UUID
	deadline time.Time // zero means none
	done     chan struct{}

	// Set before done is closed.
	found map[uuid.UUID]domain.Client
	err   error
}

// NewGrouped returns a Grouped that reads from r.
func NewGrouped(r Reader) *Grouped { return &Grouped{Reader: r} }

// GetAll returns those of the clients with these ids that exist, by their ids. It returns when the context ends. Its query goes on for as
// long as the context of another call that shares it.
func (g *Grouped) GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error) {
	r := &read{ids: ids, done: make(chan struct{})}
	r.deadline, _ = ctx.Deadline()
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	if g.queries < groupQueries {
		g.queries++
		go g.run() //nolint:contextcheck // the query is for others, too
	}
	g.mu.Unlock()
	select {
	case <-r.done:
		return r.found, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run queries until no call waits.
func (g *Grouped) run() {
	for reads := g.take(); len(reads) > 0; reads = g.take() {
		g.query(reads)
	}
}

// take removes the calls of the next query. If none waits, it counts one query less.
func (g *Grouped) take() []*read {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, ids := 0, 0
	for n < len(g.waiting) && ids < groupIDs {
		ids += len(g.waiting[n].ids)
		n++
	}
	reads := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if n == 0 {
		g.queries--
	}
	return reads
}

func (g *Grouped) query(reads []*read) {
	ctx, cancel := contextOf(reads)
	defer cancel()
	var ids []uuid.UUID
	for _, r := range reads {
		ids = append(ids, r.ids...)
	}
	found, err := g.Reader.GetAll(ctx, ids)
	for _, r := range reads {
		r.found, r.err = make(map[uuid.UUID]domain.Client), err
		for _, id := range r.ids {
			if client, ok := found[id]; ok {
				r.found[id] = client
			}
		}
		close(r.done)
	}
}

// contextOf returns a context that ends when the last of the calls gives up. It does not end if one of them has no deadline.
func contextOf(reads []*read) (context.Context, context.CancelFunc) {
	last := reads[0].deadline
	for _, r := range reads {
		if r.deadline.IsZero() {
			return context.WithCancel(context.Background())
		}
		if r.deadline.After(last) {
			last = r.deadline
		}
	}
	return context.WithDeadline(context.Background(), last)
}
