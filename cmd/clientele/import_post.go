package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// importer posts rows to the API.
type importer struct {
	url, token string
	client     *http.Client
	say        func(text string) // to whoever watches
	complain   sync.Once
}

func newImporter(c *importCmd, say func(string)) (*importer, error) {
	certificates, err := c.config()
	if err != nil {
		return nil, err
	}
	return &importer{
		url:   strings.TrimSuffix(c.URL, "/") + "/api/v2/clients",
		token: c.Token,
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: c.Connections, ForceAttemptHTTP2: true,
			TLSClientConfig: certificates,
		}},
		say: say,
	}, nil
}

// rowKey is the idempotency key of a row: of its content and number, so that two equal rows are two clients.
func rowKey(r row) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d\n%s", r.number, r.body)
	return "import-" + hex.EncodeToString(hash.Sum(nil)[:16])
}

const maxPause = 30 * time.Second

// post returns why the row was rejected, or nothing when it was accepted. What is not the row's fault it tries again, until
// the context ends; an error says that no row will be accepted.
func (i *importer) post(ctx context.Context, r row) (reasons []string, err error) {
	pause := 100 * time.Millisecond
	for {
		status, header, body, err := i.once(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case untrusted(err):
			return nil, untrustedAPI(err)
		case err != nil:
			i.complain.Do(func() { i.say(fmt.Sprintf("no answer, trying again: %v", err)) })
		case status == http.StatusAccepted || status == http.StatusCreated:
			return nil, nil
		case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
			if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil {
				pause = max(pause, time.Duration(seconds)*time.Second)
			}
		case status == http.StatusUnprocessableEntity || status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge:
			return problemReasons(body), nil
		default:
			return nil, fmt.Errorf("%s answers %d %s: see --url and --token", i.url, status, strings.Join(problemReasons(body), "; "))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause/2 + rand.N(pause/2+1)): // spreads what tries again
		}
		pause = min(2*pause, maxPause)
	}
}

func (i *importer) once(ctx context.Context, r row) (int, http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url, bytes.NewReader(r.body))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", rowKey(r))
	if i.token != "" {
		request.Header.Set("Authorization", "Bearer "+i.token)
	}
	response, err := i.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	const most = 1 << 20
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	return response.StatusCode, response.Header, body, err
}

// problemReasons are the reasons in a problem document.
func problemReasons(body []byte) []string {
	var problem struct {
		Title, Detail string
		Errors        []domain.Violation
	}
	if err := json.Unmarshal(body, &problem, json.MatchCaseInsensitiveNames(true)); err != nil {
		return []string{"the answer is no problem document"}
	}
	if len(problem.Errors) > 0 {
		return reasonsOf(problem.Errors)
	}
	return []string{strings.TrimSpace(problem.Title + ": " + problem.Detail)}
}
