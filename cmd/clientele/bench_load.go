package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"
)

// newHistogram is of times in microseconds, up to an hour, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, time.Hour.Microseconds(), 3) }

// load are the callers. They share the machine with what they measure more often than not, so they do as little as they can.
type load struct {
	cmd            *benchCmd
	ledger         *ledger
	client         *fasthttp.HostClient
	acceptedStatus int    // of the answer to a request that is accepted
	nonce          string // makes the keys of this run its own
	next           atomic.Int64
	fail           func(error) // ends the load: no request will be answered

	accepted, refused atomic.Int64

	mu       sync.Mutex
	latency  *hdrhistogram.Histogram // of accepted requests
	byAnswer map[string]int
}

func newLoad(c *benchCmd, ledger *ledger) *load {
	u, err := url.Parse(c.URL)
	if err != nil {
		panic(err) // Validate has seen it
	}
	host := u.Host
	if u.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	return &load{
		cmd:    c,
		ledger: ledger,
		client: &fasthttp.HostClient{
			Addr: host, IsTLS: u.Scheme == "https", MaxConns: c.Connections,
			ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
			MaxIdemponentCallAttempts: 1, NoDefaultUserAgentHeader: true,
		},
		acceptedStatus: fasthttp.StatusAccepted,
		fail:           func(error) {},
		nonce:          hex.EncodeToString(random),
		latency:        newHistogram(),
		byAnswer:       map[string]int{},
	}
}

// run sends until the context ends or all are sent, and returns when the last answer is there.
func (l *load) run(ctx context.Context) {
	began := time.Now()
	var wg sync.WaitGroup
	for range l.cmd.Connections {
		wg.Go(func() { l.caller(ctx, began) })
	}
	wg.Wait()
}

// caller is one connection. With a rate, a request counts from when it was due: one that had to wait for its connection
// waited for the service, too (coordinated omission).
func (l *load) caller(ctx context.Context, began time.Time) {
	latency, byAnswer := newHistogram(), map[string]int{}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	request.SetRequestURI(strings.TrimSuffix(l.cmd.URL, "/") + "/api/v2/clients")
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/json")
	request.Header.SetUserAgent(userAgent())
	if l.cmd.Token != "" {
		request.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+l.cmd.Token)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		n := l.next.Add(1)
		if ctx.Err() != nil || l.cmd.Count > 0 && n > int64(l.cmd.Count) {
			break
		}
		due := time.Now()
		if l.cmd.Rate > 0 {
			due = began.Add(time.Duration(float64(n-1) / l.cmd.Rate * float64(time.Second)))
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
			case <-ctx.Done():
				continue
			}
		}
		request.SetBody(fmt.Appendf(request.Body()[:0], benchBody, n))
		if l.cmd.Keys {
			request.Header.Set("Idempotency-Key", l.nonce+"-"+strconv.FormatInt(n, 10))
		}
		id, answer := l.send(request, response)
		byAnswer[answer]++
		if id == uuid.Nil {
			l.refused.Add(1)
			timer.Reset(afterRefusal)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			continue
		}
		l.accepted.Add(1)
		now := time.Now()
		l.ledger.accepted(id, now)
		_ = latency.RecordValue(now.Sub(due).Microseconds()) // an hour is the most that it takes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.Merge(latency)
	for answer, n := range maps.All(byAnswer) {
		l.byAnswer[answer] += n
	}
}

// afterRefusal is how long a caller that was refused, or got no answer, holds back: a service that is down is no reason to
// burn a processor.
const afterRefusal = 100 * time.Millisecond

// benchBody is a client with the members that most callers send.
const benchBody = `{"firstName": "Bench", "lastName": "Mark", "emailAddress": "bench-%d@example.com", ` +
	`"telephoneNumber": "+442079460958", ` +
	`"address": {"line_1": "1 High Street", "post_town": "London", "postcode": "SW1A 1AA"}}`

// send returns the id under which the request was accepted, and what to count the answer as.
func (l *load) send(request *fasthttp.Request, response *fasthttp.Response) (uuid.UUID, string) {
	if err := l.client.Do(request, response); err != nil {
		if untrusted(err) {
			l.fail(err)
		}
		return uuid.Nil, "no answer"
	}
	answer := strconv.Itoa(response.StatusCode())
	if response.StatusCode() != l.acceptedStatus {
		return uuid.Nil, answer
	}
	location := response.Header.Peek(fasthttp.HeaderLocation)
	id, err := uuid.ParseBytes(location[max(0, len(location)-len(uuid.UUID{}.String())):])
	if err != nil {
		return uuid.Nil, answer + " without an operation"
	}
	return id, answer
}
