package loadtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
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

// Load simulates callers. They often share the machine with the service that they measure, so they use as little CPU as possible.
type Load struct {
	// AcceptedStatus is the HTTP status of an accepted request. The default is 202. Set it before Run.
	AcceptedStatus int

	cfg    Config
	ledger *Ledger
	client *fasthttp.HostClient
	nonce  string // makes the idempotency keys of this run unique
	next   atomic.Int64

	accepted, refused atomic.Int64

	mu       sync.Mutex
	latency  *hdrhistogram.Histogram // of accepted requests
	byAnswer map[string]int
}

// NewLoad returns callers that record accepted clients in the ledger.
func NewLoad(cfg Config, ledger *Ledger) (*Load, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	host := u.Host
	if u.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	return &Load{
		AcceptedStatus: fasthttp.StatusAccepted,

		cfg:    cfg,
		ledger: ledger,
		client: &fasthttp.HostClient{
			Addr: host, IsTLS: u.Scheme == "https", MaxConns: cfg.Connections, TLSConfig: cfg.TLS,
			ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
			MaxIdemponentCallAttempts: 1, NoDefaultUserAgentHeader: true,
		},
		nonce:    hex.EncodeToString(random),
		latency:  newHistogram(),
		byAnswer: map[string]int{},
	}, nil
}

// Accepted returns the number of requests accepted so far.
func (l *Load) Accepted() int64 { return l.accepted.Load() }

// RedirectError means that the API redirects to another host. Run does not follow: the token must reach only the configured URL.
type RedirectError struct {
	Status int
	Host   string // of the Location; its path and query may be secret
}

func (e *RedirectError) Error() string {
	return fmt.Sprintf("the API answers %d and redirects to %s", e.Status, e.Host)
}

// Run sends requests until the context ends or all are sent, and returns after the last response. The error is a *RedirectError, or a
// *tls.CertificateVerificationError if the API's certificate cannot be verified.
func (l *Load) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	var wg sync.WaitGroup
	for range l.cfg.Connections {
		wg.Go(func() { l.caller(ctx, cancel, began) })
	}
	wg.Wait()
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](context.Cause(ctx)); ok {
		return untrusted
	}
	if redirect, ok := errors.AsType[*RedirectError](context.Cause(ctx)); ok {
		return redirect
	}
	return nil
}

// caller is one connection. With a rate, the latency of a request counts from when it was due. It includes the wait for a free
// connection, because that, too, is a wait for the service (coordinated omission).
func (l *Load) caller(ctx context.Context, fail context.CancelCauseFunc, began time.Time) {
	latency, byAnswer := newHistogram(), map[string]int{}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	request.SetRequestURI(strings.TrimSuffix(l.cfg.URL, "/") + "/api/v2/clients")
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/json")
	request.Header.SetUserAgent(l.cfg.UserAgent)
	if l.cfg.Token != "" {
		request.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+l.cfg.Token)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		n := l.next.Add(1)
		if ctx.Err() != nil || l.cfg.Count > 0 && n > int64(l.cfg.Count) {
			break
		}
		due := time.Now()
		if l.cfg.Rate > 0 {
			due = began.Add(time.Duration(float64(n-1) / l.cfg.Rate * float64(time.Second)))
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
			case <-ctx.Done():
				continue
			}
		}
		request.SetBody(fmt.Appendf(request.Body()[:0], Body, n))
		if l.cfg.Keys {
			request.Header.Set("Idempotency-Key", l.nonce+"-"+strconv.FormatInt(n, 10))
		}
		id, answer := l.send(fail, request, response)
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
		l.ledger.Accepted(id, now)
		_ = latency.RecordValue(now.Sub(due).Microseconds()) // fails only above an hour
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.Merge(latency)
	for answer, n := range maps.All(byAnswer) {
		l.byAnswer[answer] += n
	}
}

// afterRefusal is the pause of a caller after a refusal or a failed request, so that an unavailable service does not cause a busy
// loop.
const afterRefusal = 100 * time.Millisecond

// Body is the format of a client with the members that most callers send. Its argument is the number of the client.
const Body = `{"firstName": "Bench", "lastName": "Mark", "emailAddress": "bench-%d@example.com", ` +
	`"telephoneNumber": "+442079460958", ` +
	`"address": {"line_1": "1 High Street", "post_town": "London", "postcode": "SW1A 1AA"}}`

// send returns the id of the accepted client, or uuid.Nil, and the kind of response to count.
func (l *Load) send(fail context.CancelCauseFunc, request *fasthttp.Request, response *fasthttp.Response) (uuid.UUID, string) {
	if err := l.client.Do(request, response); err != nil {
		if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			fail(untrusted)
		}
		return uuid.Nil, "no answer"
	}
	if to := response.Header.Peek(fasthttp.HeaderLocation); len(to) > 0 && response.StatusCode()/100 == 3 {
		fail(newRedirectError(response.StatusCode(), request.URI(), to))
	}
	answer := strconv.Itoa(response.StatusCode())
	if response.StatusCode() != l.AcceptedStatus {
		return uuid.Nil, answer
	}
	location, _, _ := bytes.Cut(response.Header.Peek(fasthttp.HeaderLocation), []byte("?"))
	id, err := uuid.ParseBytes(location[max(0, len(location)-len(uuid.UUID{}.String())):])
	if err != nil {
		return uuid.Nil, answer + " without an operation"
	}
	return id, answer
}

// newRedirectError returns the error for a Location, which may be relative.
func newRedirectError(status int, from *fasthttp.URI, location []byte) *RedirectError {
	to := fasthttp.AcquireURI()
	defer fasthttp.ReleaseURI(to)
	from.CopyTo(to)
	to.UpdateBytes(location)
	return &RedirectError{Status: status, Host: string(to.Host())}
}

// Result returns the measurements. sent is the time spent sending requests, all the time until the last event.
func (l *Load) Result(sent, all time.Duration) Result {
	r := Result{
		Seconds:   sent.Seconds(),
		Accepted:  l.accepted.Load(),
		Completed: l.ledger.completed.Load(),
		Accept:    quantilesOf(l.latency),
		Event:     quantilesOf(l.ledger.delay),
		Answers:   l.byAnswer,
	}
	r.AcceptedRate = float64(r.Accepted) / sent.Seconds()
	r.CompletedRate = float64(r.Completed) / all.Seconds()
	r.Lost, r.Duplicated = l.ledger.audit()
	return r
}
