//go:build faults

package faulttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// answer is what a caller knows after a request.
type answer string

const (
	accepted202 answer = "202 accepted"
	invalid422  answer = "422 invalid"
	reused422   answer = "422 key reused"
	refused503  answer = "503 refused" // definitely not accepted
	unknown503  answer = "503 unknown" // may have been accepted
	unreachable answer = "not reached" // no connection, definitely not accepted
	brokenOff   answer = "no answer"   // the connection broke, may have been accepted
	unexpected  answer = "unexpected"  // always a violation
)

// claim is one client that a caller wants created: a body, usually under a key. It may be sent many times.
type claim struct {
	key     string // "" for none
	tag     string // in the body of this claim only
	invalid bool

	// Guarded by history.mu.
	id      uuid.UUID // from the key, or from the answer
	answers map[answer]int
}

func (c *claim) was(answers ...answer) bool {
	for _, a := range answers {
		if c.answers[a] > 0 {
			return true
		}
	}
	return false
}

// marker is in every name and address of the load. Where it appears outside bodies, personal data has leaked.
const marker = "zyxwv"

func (c *claim) body() string {
	mail := c.tag + "@" + marker + ".example"
	if c.invalid {
		mail = c.tag + marker
	}
	return fmt.Sprintf(`{"firstName": "Ada %[1]s", "lastName": "%[2]s", "emailAddress": "%[3]s"}`, marker, c.tag, mail)
}

// history records what the callers sent and were told.
type history struct {
	seed   uint64
	client http.Client
	// Set when the system is open.
	keyedID func(caller, key string) uuid.UUID
	apis    []string

	mu         sync.Mutex
	claims     []*claim
	byKey      map[string][]*claim
	answers    map[answer]int
	spans      map[uuid.UUID]*span
	lookUps    int // of operations that were just accepted
	violations []string
}

// span is the time in which a command was put on the log.
type span struct{ sent, accepted time.Time }

func newHistory(seed uint64) *history {
	return &history{
		seed:    seed,
		client:  http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		byKey:   map[string][]*claim{},
		answers: map[answer]int{},
		spans:   map[uuid.UUID]*span{},
	}
}

// claim returns a new claim, under this key or none.
func (h *history) claim(key string, invalid bool) *claim {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &claim{key: key, tag: fmt.Sprintf("%s-%d-%d", marker, h.seed, len(h.claims)), invalid: invalid, answers: map[answer]int{}}
	if key != "" {
		c.id = h.keyedID("anonymous", key)
		h.byKey[key] = append(h.byKey[key], c)
	}
	h.claims = append(h.claims, c)
	return c
}

// some returns a claim under a key that was accepted before, or nil if it finds none.
func (h *history) some(rng *rand.Rand) *claim {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 10 {
		if len(h.claims) == 0 {
			return nil
		}
		if c := h.claims[rng.IntN(len(h.claims))]; c.key != "" && c.was(accepted202) {
			return c
		}
	}
	return nil
}

// count returns how many requests were answered so.
func (h *history) count(a answer) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answers[a]
}

// send posts a claim and records the answer.
func (h *history) send(api string, c *claim) answer {
	sent := time.Now()
	h.mu.Lock()
	if c.key != "" {
		h.span(c.id, sent)
	}
	h.mu.Unlock()
	a, id, reply := h.post(api, c)
	if a == accepted202 {
		h.accepted(id, sent)
		h.lookUp(api, id)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[a]++
	c.answers[a]++
	wrong := ""
	switch {
	case a == unexpected:
		wrong = "no request should get this answer"
	case c.invalid && c.was(accepted202, reused422):
		wrong = "an invalid client was not refused"
	case !c.invalid && a == invalid422:
		wrong = "a valid client was refused"
	case a == reused422 && len(h.byKey[c.key]) < 2:
		wrong = "a key was reported as reused and was not"
	case a == accepted202 && c.id != uuid.Nil && c.id != id:
		wrong = "a retry was accepted as another operation"
	}
	if wrong != "" {
		h.violations = append(h.violations, fmt.Sprintf("%s: %s: %s", c.tag, wrong, reply))
	}
	if a == accepted202 {
		c.id = id
	}
	return a
}

// span returns the span of a command, which was first sent at this time if it is new.
func (h *history) span(id uuid.UUID, sent time.Time) *span {
	if h.spans[id] == nil {
		h.spans[id] = &span{sent: sent}
	}
	return h.spans[id]
}

func (h *history) accepted(id uuid.UUID, sent time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if span := h.span(id, sent); span.accepted.IsZero() {
		span.accepted = time.Now()
	}
}

// lookUp asks another ingress for an operation that was just accepted. If it cannot tell, that is no violation.
func (h *history) lookUp(api string, id uuid.UUID) {
	other := h.apis[(slices.Index(h.apis, api)+1)%len(h.apis)]
	response, err := h.client.Get(other + "/api/v2/operations/" + id.String())
	if err != nil {
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case response.StatusCode == http.StatusOK && err == nil:
		h.lookUps++
	case response.StatusCode == http.StatusNotFound:
		h.violations = append(h.violations, fmt.Sprintf("8: operation %s was accepted, and then not found: %s", id, body))
	}
}

func (h *history) post(api string, c *claim) (a answer, id uuid.UUID, reply string) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, api+"/api/v2/clients", strings.NewReader(c.body()))
	if err != nil {
		return unexpected, id, err.Error()
	}
	r.GetBody = nil // otherwise net/http retries requests with a key, and the history would not know
	r.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	response, err := h.client.Do(r)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return unreachable, id, err.Error()
		}
		return brokenOff, id, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return brokenOff, id, err.Error()
	}
	var document struct {
		ID        uuid.UUID `json:"id"`
		Type      string    `json:"type"`
		Operation string    `json:"operation"`
	}
	reply = fmt.Sprintf("%d %s", response.StatusCode, body)
	if err := json.Unmarshal(body, &document); err != nil {
		return unexpected, id, reply
	}
	unknown := document.Type == "/problems/outcome-unknown" && document.Operation != ""
	refused := document.Type == "/problems/unavailable" || document.Type == "/problems/log-full"
	switch {
	case response.StatusCode == http.StatusAccepted:
		return accepted202, document.ID, reply
	case response.StatusCode == http.StatusUnprocessableEntity && document.Type == "/problems/idempotency-key-reused":
		return reused422, id, reply
	case response.StatusCode == http.StatusUnprocessableEntity:
		return invalid422, id, reply
	case response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "":
	case unknown:
		return unknown503, id, reply
	case refused:
		return refused503, id, reply
	}
	return unexpected, id, reply
}

// callers post until the context ends: new clients, with keys and without, retries, other bodies under used keys, several
// bodies under a new key at once, invalid ones.
func (h *history) callers(ctx context.Context, apis []string, n int) (wait func()) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(h.seed, uint64(i)))
			pace := time.NewTicker(30 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-pace.C:
					h.act(ctx, rng, apis)
				}
			}
		})
	}
	return wg.Wait
}

func (h *history) act(ctx context.Context, rng *rand.Rand, apis []string) {
	api := func() string { return apis[rng.IntN(len(apis))] }
	newKey := func() string { return fmt.Sprintf("%d-%016x", h.seed, rng.Uint64()) }
	switch n := rng.IntN(100); {
	case n < 60:
		h.insist(ctx, rng, api, h.claim(newKey(), false))
	case n < 75:
		h.send(api(), h.claim("", false))
	case n < 82:
		if c := h.some(rng); c != nil {
			h.send(api(), c)
		}
	case n < 90:
		if c := h.some(rng); c != nil {
			h.send(api(), h.claim(c.key, false))
		}
	case n < 95:
		key := newKey()
		var wg sync.WaitGroup
		for range 2 + rng.IntN(3) {
			c, to := h.claim(key, false), api()
			wg.Go(func() { h.send(to, c) })
		}
		wg.Wait()
	default:
		h.send(api(), h.claim([]string{"", newKey()}[rng.IntN(2)], true))
	}
}

// insist sends a claim until the answer is definite. One caller in five gives up after the first answer.
func (h *history) insist(ctx context.Context, rng *rand.Rand, api func() string, c *claim) {
	patient := rng.IntN(5) > 0
	for {
		a := h.send(api(), c)
		if !patient || slices.Contains([]answer{accepted202, invalid422, reused422, unexpected}, a) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// settle sends every second claim with an unknown outcome again until it is known, for up to a minute.
func (h *history) settle(apis []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rng := rand.New(rand.NewPCG(h.seed, 1<<32))
	for i, c := range h.claims {
		if i%2 == 0 && c.key != "" && c.was(unknown503, brokenOff) && !c.was(accepted202, reused422) {
			h.insist(ctx, rng, func() string { return apis[i%len(apis)] }, c)
		}
	}
}
