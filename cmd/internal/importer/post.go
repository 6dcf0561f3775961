package importer

import (
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
	"sync"
	"time"

	"clientele/domain"

	"github.com/go-json-experiment/json"
)

// poster posts rows to the API.
type poster struct {
	url, token, userAgent string
	client                *http.Client
	notify                func(text string) // prints a line to the progress output
	unreachable           sync.Once         // limits the notice to the first failure
}

func newPoster(cfg Config, notify func(string)) *poster {
	return &poster{
		url:   strings.TrimSuffix(cfg.URL, "/") + "/api/v2/clients",
		token: cfg.Token, userAgent: cfg.UserAgent,
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: cfg.Connections, ForceAttemptHTTP2: true, TLSClientConfig: cfg.TLS,
		}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		notify: notify,
	}
}

// maxPause is the longest pause between two attempts.
const maxPause = 30 * time.Second

// post returns the reasons why the row was rejected, or none if it was accepted. It retries other failures until the context
// ends. An error means that the API accepts no rows; it is a *RedirectError or a *RefusedError, or untrusted reports true.
func (p *poster) post(ctx context.Context, r row) (reasons []string, err error) {
	pause := 100 * time.Millisecond
	for {
		status, header, body, err := p.once(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case untrusted(err) || redirected(err):
			return nil, err
		case err != nil:
			p.unreachable.Do(func() { p.notify(fmt.Sprintf("no response; trying again: %v", err)) })
		case status == http.StatusAccepted || status == http.StatusCreated:
			return nil, nil
		case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
			if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil {
				pause = max(pause, time.Duration(seconds)*time.Second)
			}
		case status == http.StatusUnprocessableEntity || status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge:
			return problemReasons(body), nil
		default:
			return nil, &RefusedError{URL: p.url, Status: status, Reasons: problemReasons(body)}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause/2 + rand.N(pause/2+1)): // jitter spreads the retries
		}
		pause = min(2*pause, maxPause)
	}
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

func (p *poster) once(ctx context.Context, r row) (int, http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(r.body))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", p.userAgent)
	request.Header.Set("Idempotency-Key", r.key)
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	if to, err := response.Location(); err == nil && response.StatusCode/100 == 3 {
		return 0, nil, nil, &RedirectError{Status: response.StatusCode, Host: to.Host}
	}
	const most = 1 << 20
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	return response.StatusCode, response.Header, body, err
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
