package importer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"clientele/domain"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// poster posts rows to the API.
type poster struct {
	url, token, userAgent string
	client                *http.Client
	notify                func(text string) // prints a line to the progress output
	advice                string            // ends the notices about an outage
	outage                outage
}

func newPoster(cfg Config, notify func(string)) *poster {
	return &poster{
		url:   strings.TrimSuffix(cfg.URL, "/") + "/api/v2/clients/batch",
		token: cfg.Token, userAgent: cfg.UserAgent,
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: cfg.Connections, ForceAttemptHTTP2: true, TLSClientConfig: cfg.TLS,
		}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		notify: notify, advice: cfg.OutageAdvice,
	}
}

// post sends rows, and those again that the API has not settled, until all are or the context ends. An error means that the API accepts
// no rows; it is a *RedirectError or a *RefusedError, or untrusted reports true.
func (p *poster) post(ctx context.Context, rows []row, settle func(row, []string) error) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		results, wait, err := p.once(ctx, rows)
		var refused *RefusedError
		switch {
		case ctx.Err() != nil && len(results) == 0:
			return context.Cause(ctx)
		case untrusted(err) || redirected(err) || errors.As(err, &refused):
			return err
		}
		var left []row
		for i, r := range rows {
			reasons, settled, failed := []string(nil), false, error(nil)
			if i < len(results) {
				reasons, settled, failed = results[i].outcome(p.url)
				wait = max(wait, results[i].RetryAfter)
			}
			if settled {
				failed = settle(r, reasons)
			} else {
				left = append(left, r)
			}
			if failed != nil {
				return failed
			}
		}
		if len(left) == 0 {
			p.outage.ended()
			return nil
		}
		if len(left) < len(rows) {
			p.outage.ended()
			pause = minPause
		} else {
			p.report(err, results)
		}
		rows, pause = left, max(pause, time.Duration(wait)*time.Second)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause/2 + rand.N(pause/2+1)): // jitter spreads the retries
		}
	}
}

// report prints a notice about an attempt that settled no row, if one is due.
func (p *poster) report(err error, results []result) {
	switch {
	case err != nil:
	case len(results) == 0:
		err = errors.New("the response has no results")
	default:
		err = results[0].failure(p.url)
	}
	if notice := p.outage.failed(err, p.advice); notice != "" {
		p.notify(notice)
	}
}

// The shortest and the longest pause between two attempts.
const (
	minPause = 100 * time.Millisecond
	maxPause = 30 * time.Second
)

// result is the result of a row.
type result struct {
	Status     int
	RetryAfter int // seconds, or 0
	Body       jsontext.Value
}

// outcome reports whether a row is settled, and if so returns the reasons why it was rejected, or none if it was accepted. The error is a
// *RefusedError.
func (r result) outcome(url string) (reasons []string, settled bool, err error) {
	switch r.Status {
	case http.StatusAccepted, http.StatusCreated:
		return nil, true, nil
	case http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return problemReasons(r.Body), true, nil
	}
	return nil, false, r.refused(url)
}

// refused returns nil if the API may accept the same later, or else a *RefusedError.
func (r result) refused(url string) error {
	if r.Status >= http.StatusInternalServerError || r.Status == http.StatusTooManyRequests || r.Status == http.StatusRequestTimeout {
		return nil
	}
	return r.failure(url)
}

func (r result) failure(url string) *RefusedError {
	return &RefusedError{URL: url, Status: r.Status, Reasons: problemReasons(r.Body)}
}

// untrusted reports whether the API's certificate cannot be verified, which is permanent.
func untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// redirected reports whether the API redirects to another host, which an operator must check.
func redirected(err error) bool {
	_, ok := errors.AsType[*RedirectError](err)
	return ok
}

// once sends a batch. It returns the results that arrived: of all rows, unless there is an error or the API ends the batch early. wait is
// the number of seconds that the API asks to wait before the next attempt, or 0. An API that accepts nothing for now has one result.
func (p *poster) once(ctx context.Context, rows []row) (results []result, wait int, err error) {
	var body []byte
	for _, r := range rows {
		body = fmt.Appendf(body, `{"idempotencyKey":%q,"client":%s}`+"\n", r.key, r.body)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("User-Agent", p.userAgent)
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	if to, err := response.Location(); err == nil && response.StatusCode/100 == 3 {
		return nil, 0, &RedirectError{Status: response.StatusCode, Host: to.Host}
	}
	if response.StatusCode == http.StatusOK {
		results, err = readResults(response.Body)
		return results, 0, err
	}
	wait, _ = strconv.Atoi(response.Header.Get("Retry-After"))
	problem, err := io.ReadAll(io.LimitReader(response.Body, maxResult))
	if err != nil {
		return nil, wait, err
	}
	failed := result{Status: response.StatusCode, Body: problem}
	if err := failed.refused(p.url); err != nil {
		return nil, wait, err
	}
	return []result{failed}, wait, nil
}

// maxResult is the maximum size of a result in bytes, or of a problem document.
const maxResult = 1 << 20

// readResults reads results up to the first error.
func readResults(body io.Reader) (results []result, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxResult)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r, json.MatchCaseInsensitiveNames(true)); err != nil {
			return results, fmt.Errorf("a result is not valid: %w", err)
		}
		results = append(results, r)
	}
	return results, lines.Err()
}

// problemReasons returns the reasons in a problem document (RFC 9457).
func problemReasons(body []byte) []string {
	var problem struct {
		Title, Detail string
		Errors        []domain.Violation
	}
	if err := json.Unmarshal(body, &problem, json.MatchCaseInsensitiveNames(true)); err != nil {
		return []string{"the response is not a problem document"}
	}
	if len(problem.Errors) > 0 {
		return reasonsOf(problem.Errors)
	}
	return []string{strings.TrimSpace(problem.Title + ": " + problem.Detail)}
}

func reasonsOf(violations []domain.Violation) []string {
	reasons := make([]string, len(violations))
	for i, v := range violations {
		reasons[i] = strings.ReplaceAll(strings.TrimPrefix(v.Pointer, "/"), "/", ".") + " " + v.Detail // as a column is called
	}
	return reasons
}
