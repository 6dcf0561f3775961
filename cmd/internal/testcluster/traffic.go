package testcluster

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"clientele/publisher/publishertest"
)

// PostTwenty posts twenty clients, one after the other, and returns their operations.
func PostTwenty(t testing.TB, api string) (operations []string) {
	t.Helper()
	for range 20 {
		operations = append(operations, Accepted(t, api, Jane, ""))
	}
	return operations
}

// Traffic is callers that post a hundred clients a second, each under its own key. They retry a 503 under the same key until the client is
// accepted.
type Traffic struct {
	t    *testing.T
	body string
	tick *time.Ticker
	wg   sync.WaitGroup
	// stopping ends new clients; aborted also ends retries.
	stopping, aborted chan struct{}

	mu         sync.Mutex
	operations []string
	Refusals   map[string]int // by type of problem
}

// NewTraffic starts callers that post clients until Stop is called or the test ends.
func NewTraffic(t *testing.T, apis ...string) *Traffic {
	t.Helper()
	return NewTrafficOf(t, Jane, apis...)
}

// NewTrafficOf is NewTraffic with this body.
func NewTrafficOf(t *testing.T, body string, apis ...string) *Traffic {
	t.Helper()
	c := &Traffic{
		t: t, body: body, tick: time.NewTicker(10 * time.Millisecond),
		stopping: make(chan struct{}), aborted: make(chan struct{}), Refusals: map[string]int{},
	}
	for i := range 8 {
		c.wg.Go(func() { c.post(apis[i%len(apis)]) })
	}
	t.Cleanup(func() {
		close(c.aborted)
		c.wg.Wait()
		c.tick.Stop()
	})
	return c
}

func (c *Traffic) post(api string) {
	for {
		select {
		case <-c.stopping:
			return
		case <-c.aborted:
			return
		case <-c.tick.C:
		}
		key := publishertest.NewID(c.t).String()
		for !c.note(Post(c.t, api, c.body, key)) {
			select {
			case <-c.aborted:
				return
			case <-c.tick.C:
			}
		}
	}
}

// note records an answer, and reports whether it is final.
func (c *Traffic) note(r Reply) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Status == http.StatusAccepted:
		c.operations = append(c.operations, r.Operation())
		return true
	case r.Status == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
		c.Refusals[r.Object(c.t)["type"].(string)]++
		return false
	default:
		c.t.Errorf("%d %v: %s", r.Status, r.Header, r.Body)
		return true
	}
}

// Counts returns the numbers of accepted requests and of 503 answers.
func (c *Traffic) Counts() (accepted, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.Refusals {
		refused += n
	}
	return len(c.operations), refused
}

// AwaitAccepted waits until n more requests are accepted.
func (c *Traffic) AwaitAccepted(n int) {
	c.t.Helper()
	before, _ := c.Counts()
	publishertest.Eventually(c.t, "commands are accepted", func() bool { now, _ := c.Counts(); return now >= before+n })
}

// Stop waits until every request is accepted and returns their operations.
func (c *Traffic) Stop() []string {
	close(c.stopping)
	c.wg.Wait()
	return c.operations
}

// Each calls f with 0 to n-1, up to 64 at once, and waits for all calls.
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
