// Package webhook posts events to URLs as CloudEvents 1.0 in binary mode, signed according to Standard Webhooks 1.0.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"clientele/domain"
)

// Timeout is the time limit for one request.
const Timeout = 30 * time.Second

// Poster posts events. Its connections are reused.
type Poster struct {
	userAgent string
	client    *http.Client
}

// NewPoster returns a Poster. The User-Agent is the header of its requests.
func NewPoster(userAgent string) *Poster {
	return &Poster{userAgent: userAgent, client: &http.Client{
		Timeout: Timeout,
		// Do not follow redirects: personal data must reach only the configured URL.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Event is an event with the headers that it has on NATS. An event of which a consumer leaves out the body has none.
type Event struct {
	Header map[string][]string
	Body   []byte
}

func (e Event) header(name string) string {
	if values := e.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// StatusError is a response that is not 2xx.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("the receiver responded with %d %s", e.Status, http.StatusText(e.Status))
}

// Post posts an event to a URL once, signed with each of the keys, and returns the status of the response, or 0 without one. A response
// that is not 2xx is a *StatusError. Errors contain the host of the URL only, because the rest may be secret.
func (p *Poster) Post(ctx context.Context, to string, keys [][]byte, event Event) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(event.Body))
	if err != nil {
		return 0, errors.New("the URL is not valid")
	}
	for name, values := range event.Header {
		if strings.HasPrefix(name, "ce-") && name != "ce-datacontenttype" || name == domain.HeaderTraceparent { // ce-datacontenttype is Content-Type in HTTP
			request.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	request.Header.Set("User-Agent", p.userAgent)
	if len(event.Body) > 0 {
		request.Header.Set("Content-Type", event.header("Content-Type"))
	}
	sign(request, event, keys)
	response, err := p.client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return 0, fmt.Errorf("post to %s: %w", request.URL.Host, failed.Err)
	}
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // to reuse the connection
	if response.StatusCode >= http.StatusMultipleChoices {
		return response.StatusCode, &StatusError{response.StatusCode}
	}
	return response.StatusCode, nil
}

// sign signs a request according to Standard Webhooks 1.0: HMAC-SHA256 of id, time and body. With several keys, the receiver needs one.
func sign(request *http.Request, event Event, keys [][]byte) {
	id, now := event.header("ce-id"), strconv.FormatInt(time.Now().Unix(), 10)
	signatures := make([]string, 0, len(keys))
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + now + "."))
		mac.Write(event.Body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", now)
	request.Header.Set("Webhook-Signature", strings.Join(signatures, " "))
}
