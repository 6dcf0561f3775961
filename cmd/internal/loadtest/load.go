package loadtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
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
	// AcceptedStatus is the HTTP status of an accepted client. The default is 202. Set it before Run.
	AcceptedStatus int

	cfg    Config
	ledger *Ledger
	client *fasthttp.HostClient
	nonce  string // makes the idempotency keys of this run unique
	next   atomic.Int64

	accepted, repeated, refused atomic.Int64

	mu       sync.Mutex
	latency  *hdrhistogram.Histogram // of accepted clients
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

// Accepted returns the number of clients accepted so far.
func (l *Load) Accepted() int64 { return l.accepted.Load() }

// RedirectError means that the API redirects to another host. Run does not follow: the token must reach only the configured URL.
type RedirectError struct {
	Status int
	Host   string // of the Location; its path and query may be secret
}

func (e *RedirectError) Error() string {
	return fmt.Sprintf("the API answers %d and redirects to %s", e.Status, e.Host)
}

// RefusedError means that the API refuses the token. Run stops at the first such response.
type RefusedError struct {
	URL    string
	Status int // 401 or 403
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%s responded with %d", e.URL, e.Status) }

// Run sends requests until the context ends or all are sent, and returns after the last response. The error is a *RedirectError, a
// *RefusedError, or a *tls.CertificateVerificationError if the API's certificate cannot be verified.
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
	if refused, ok := errors.AsType[*RefusedError](context.Cause(ctx)); ok {
		return refused
	}
	return nil
}

// caller is one connection. With a rate, the latency of a request counts from when it was due. It includes the wait for a free
// connection, because that, too, is a wait for the service (coordinated omission).
func (l *Load) caller(ctx context.Context, fail context.CancelCauseFunc, began time.Time) {
	tally := tally{latency: newHistogram(), byAnswer: map[string]int{}}
	request, response := l.newRequest(), fasthttp.AcquireResponse()
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := func(d time.Duration) {
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	size := int64(max(1, l.cfg.Batch))
	for {
		end := l.next.Add(size)
		first := end - size + 1
		if l.cfg.Count > 0 {
			end = min(end, int64(l.cfg.Count))
		}
		if ctx.Err() != nil || first > end {
			break
		}
		due := time.Now()
		if l.cfg.Rate > 0 {
			due = began.Add(time.Duration(float64(first-1) / l.cfg.Rate * float64(time.Second)))
			if pause(time.Until(due)); ctx.Err() != nil {
				continue
			}
		}
		l.fill(request, first, end)
		if l.send(fail, request, response, first, end, due, &tally); tally.refused {
			pause(afterRefusal)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.Merge(tally.latency)
	for answer, n := range maps.All(tally.byAnswer) {
		l.byAnswer[answer] += n
	}
}

// tally has the measurements of one caller.
type tally struct {
	latency  *hdrhistogram.Histogram
	byAnswer map[string]int
	refused  bool // a client of the last request
}

func (l *Load) newRequest() *fasthttp.Request {
	request := fasthttp.AcquireRequest()
	path, contentType := "/api/v2/clients", "application/json"
	if l.cfg.Batch > 0 {
		path, contentType = path+"/batch", "application/x-ndjson"
	}
	request.SetRequestURI(strings.TrimSuffix(l.cfg.URL, "/") + path)
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType(contentType)
	request.Header.SetUserAgent(l.cfg.UserAgent)
	if l.cfg.Token != "" {
		request.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+l.cfg.Token)
	}
	return request
}

// fill sets the body of a request for the clients first to end, and the keys.
func (l *Load) fill(request *fasthttp.Request, first, end int64) {
	body := request.Body()[:0]
	if l.cfg.Batch == 0 {
		n := l.original(first)
		if l.cfg.Keys {
			request.Header.Set("Idempotency-Key", l.key(n))
		}
		request.SetBodyRaw(fmt.Appendf(body, Body, n))
		return
	}
	for n := first; n <= end; n++ {
		original := l.original(n)
		body = append(body, '{')
		if l.cfg.Keys {
			body = fmt.Appendf(body, `"idempotencyKey": %q, `, l.key(original))
		}
		body = fmt.Appendf(append(body, `"client": `...), Body, original)
		body = append(body, "}\n"...)
	}
	request.SetBodyRaw(body)
}

func (l *Load) key(n int64) string { return l.nonce + "-" + strconv.FormatInt(n, 10) }

// repeats reports whether the n-th client, from 1, repeats an earlier one. Config.Repeat percent do, evenly spread.
func (l *Load) repeats(n int64) bool {
	percent := int64(l.cfg.Repeat)
	return n*percent/100 != (n-1)*percent/100
}

// original returns the number of the client to send as the n-th: n, or that of an earlier one to repeat.
func (l *Load) original(n int64) int64 {
	if !l.repeats(n) {
		return n
	}
	for earlier := 1 + mathrand.Int64N(n-1); earlier > 0; earlier-- {
		if !l.repeats(earlier) {
			return earlier
		}
	}
	return n
}

// afterRefusal is the pause of a caller after a refusal or a failed request, so that an unavailable service does not cause a busy
// loop.
const afterRefusal = 100 * time.Millisecond

// Body is the format of a client with the members that most callers send. Its argument is the number of the client.
const Body = `{"firstName": "Bench", "lastName": "Mark", "emailAddress": "bench-%d@example.com", ` +
	`"telephoneNumber": "+442079460958", ` +
	`"address": {"line_1": "1 High Street", "post_town": "London", "postcode": "SW1A 1AA"}}`

// send sends a request for the clients first to end, which was due at a time, and counts the answer for each of them.
func (l *Load) send(fail context.CancelCauseFunc, request *fasthttp.Request, response *fasthttp.Response, first, end int64, due time.Time, t *tally) {
	t.refused = false
	answer := l.exchange(fail, request, response)
	now := time.Now()
	results := bytes.SplitAfter(response.Body(), []byte("\n"))
	for n := first; n <= end; n++ {
		id, answer := uuid.Nil, answer
		switch i := int(n - first); {
		case l.cfg.Batch == 0 && response.StatusCode() == l.AcceptedStatus:
			location, _, _ := bytes.Cut(response.Header.Peek(fasthttp.HeaderLocation), []byte("?"))
			id, answer = idOf(location[max(0, len(location)-len(uuid.UUID{}.String())):], answer)
		case l.cfg.Batch > 0 && response.StatusCode() == fasthttp.StatusOK && i < len(results):
			id, answer = l.result(results[i])
		}
		t.byAnswer[answer]++
		if id == uuid.Nil {
			t.refused = true
			l.refused.Add(1)
			continue
		}
		l.accepted.Add(1)
		if l.repeats(n) {
			l.repeated.Add(1)
		}
		l.ledger.Accepted(id, now)
		_ = t.latency.RecordValue(now.Sub(due).Microseconds()) // fails only above an hour
	}
}

// exchange sends a request and returns the kind of response.
func (l *Load) exchange(fail context.CancelCauseFunc, request *fasthttp.Request, response *fasthttp.Response) string {
	response.Reset()
	if err := l.client.Do(request, response); err != nil {
		if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			fail(untrusted)
		}
		response.SetStatusCode(0)
		return "no answer"
	}
	if to := response.Header.Peek(fasthttp.HeaderLocation); len(to) > 0 && response.StatusCode()/100 == 3 {
		fail(newRedirectError(response.StatusCode(), request.URI(), to))
	}
	if status := response.StatusCode(); status == fasthttp.StatusUnauthorized || status == fasthttp.StatusForbidden {
		fail(&RefusedError{URL: l.cfg.URL, Status: status})
	}
	return strconv.Itoa(response.StatusCode())
}

// result returns the id of the accepted client in a result of a batch, or uuid.Nil, and the kind of response. It searches the text,
// which costs less than to decode it.
func (l *Load) result(line []byte) (uuid.UUID, string) {
	_, rest, _ := bytes.Cut(line, []byte(`"status":`))
	status, _, _ := bytes.Cut(rest, []byte(","))
	if string(status) != strconv.Itoa(l.AcceptedStatus) {
		return uuid.Nil, cmp.Or(string(status), "no answer")
	}
	_, id, _ := bytes.Cut(rest, []byte(`"id":"`))
	return idOf(id[:min(len(id), len(uuid.UUID{}.String()))], string(status))
}

func idOf(text []byte, answer string) (uuid.UUID, string) {
	id, err := uuid.ParseBytes(text)
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
		Repeated:  l.repeated.Load(),
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
