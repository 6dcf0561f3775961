package testcluster

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"clientele/publisher/publishertest"
)

// What the tests of bad weather share.

// Take posts twenty clients, one after the other, and returns their operations.
func Take(t testing.TB, api string) (operations []string) {
	t.Helper()
	for range 20 {
		operations = append(operations, Accepted(t, api, Jane, ""))
	}
	return operations
}

// Traffic is callers who post clients, a hundred a second, each under a key of its own and, when told that the outcome is
// not known or that it cannot be now, again under that key until it is accepted.
type Traffic struct {
	t    *testing.T
	tick *time.Ticker
	wg   sync.WaitGroup
	// leaving ends new requests; gone ends old ones, too, whatever became of them.
	leaving, gone chan struct{}

	mu         sync.Mutex
	operations []string
	Refusals   map[string]int // by type of problem
}

// NewTraffic starts callers that post clients until they are told to stop.
func NewTraffic(t *testing.T, apis ...string) *Traffic {
	t.Helper()
	c := &Traffic{
		t: t, tick: time.NewTicker(10 * time.Millisecond),
		leaving: make(chan struct{}), gone: make(chan struct{}), Refusals: map[string]int{},
	}
	for i := range 8 {
		c.wg.Go(func() { c.post(apis[i%len(apis)]) })
	}
	t.Cleanup(func() {
		close(c.gone)
		c.wg.Wait()
		c.tick.Stop()
	})
	return c
}

func (c *Traffic) post(api string) {
	for {
		select {
		case <-c.leaving:
			return
		case <-c.gone:
			return
		case <-c.tick.C:
		}
		key := publishertest.NewID(c.t).String()
		for !c.note(Post(c.t, api, Jane, key)) {
			select {
			case <-c.gone:
				return
			case <-c.tick.C:
			}
		}
	}
}

// note notes an answer, and returns whether it is final.
func (c *Traffic) note(r Reply) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Status == http.StatusAccepted:
		c.operations = append(c.operations, r.Header.Get("Location"))
		return true
	case r.Status == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
		c.Refusals[r.Object(c.t)["type"].(string)]++
		return false
	default:
		c.t.Errorf("%d %v: %s", r.Status, r.Header, r.Body)
		return true
	}
}

// Counts returns how many requests were accepted, and how many answers were that it is not known or cannot be now.
func (c *Traffic) Counts() (accepted, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.Refusals {
		refused += n
	}
	return len(c.operations), refused
}

// GoesOn waits until n more requests have been accepted.
func (c *Traffic) GoesOn(n int) {
	c.t.Helper()
	before, _ := c.Counts()
	publishertest.Eventually(c.t, "commands are accepted", func() bool { now, _ := c.Counts(); return now >= before+n })
}

// Leave waits until every request is accepted and returns their operations.
func (c *Traffic) Leave() []string {
	close(c.leaving)
	c.wg.Wait()
	return c.operations
}

// Each calls f with 0 to n-1, up to 64 at once, and returns when all calls have.
func Each(n int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}
