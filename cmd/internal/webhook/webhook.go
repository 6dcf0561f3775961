// Package webhook delivers events to a URL at least once, signed according to Standard Webhooks 1.0.
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
	"os"
	"strconv"
	"strings"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// ReadSecret returns the signing key in a file, or nil for the path "". A key in base64 has the prefix whsec_, as in Standard
// Webhooks; any other text is the key itself. A key must have at least 16 bytes.
func ReadSecret(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(file))
	const least = 16
	if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && len(secret) < least {
			err = fmt.Errorf("a secret must have at least %d bytes", least)
		}
		return secret, err
	}
	if len(text) < least {
		return nil, fmt.Errorf("a secret must have at least %d bytes", least)
	}
	return []byte(text), nil
}

// Timeout is the time limit for one delivery attempt.
const Timeout = 30 * time.Second

// maxPause is the longest pause between two attempts.
const maxPause = 5 * time.Minute

// Config configures a Forwarder.
type Config struct {
	// URL is the URL of the receiver.
	URL string
	// Secret is the key that signs each request. If it is nil, requests are not signed.
	Secret []byte
	// UserAgent is the User-Agent header of the requests.
	UserAgent string
	Log       zerolog.Logger
}

// Forwarder posts events to a URL as CloudEvents 1.0 in binary mode.
type Forwarder struct {
	cfg    Config
	client *http.Client
}

// New returns a Forwarder.
func New(cfg Config) *Forwarder {
	return &Forwarder{cfg: cfg, client: &http.Client{
		Timeout: Timeout,
		// Do not follow redirects: personal data must reach only the configured URL.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Forward posts an event and acknowledges it. If that fails, the event is delivered again after a pause that grows to five minutes.
func (f *Forwarder) Forward(msg jetstream.Msg) {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	err := f.post(ctx, msg)
	if err == nil {
		if err := msg.Ack(); err != nil {
			f.cfg.Log.Warn().Err(err).Msg("cannot acknowledge an event; it will be sent again")
		}
		return
	}
	pause := time.Second
	if meta, metaErr := msg.Metadata(); metaErr == nil {
		pause = min(time.Second<<min(meta.NumDelivered-1, 10), maxPause)
	}
	f.cfg.Log.Warn().Err(err).Str("event", msg.Headers().Get("ce-id")).Stringer("again_in", pause).Msg("cannot deliver an event; it will be sent again")
	_ = msg.NakWithDelay(pause)
}

func (f *Forwarder) post(ctx context.Context, msg jetstream.Msg) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.cfg.URL, bytes.NewReader(msg.Data()))
	if err != nil {
		return err
	}
	for name, values := range msg.Headers() {
		if strings.HasPrefix(name, "ce-") && name != "ce-datacontenttype" || name == domain.HeaderTraceparent { // ce-datacontenttype is Content-Type in HTTP
			request.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	request.Header.Set("User-Agent", f.cfg.UserAgent)
	if len(msg.Data()) > 0 { // a consumer can leave out the bodies
		request.Header.Set("Content-Type", msg.Headers().Get("Content-Type"))
	}
	if f.cfg.Secret != nil {
		f.sign(request, msg.Headers().Get("ce-id"), msg.Data())
	}
	response, err := f.client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("post to %s: %w", request.URL.Host, failed.Err) // the path and the query of the URL may be secret
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // to reuse the connection
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the receiver responded with %s", response.Status)
	}
	return nil
}

// sign signs a request according to Standard Webhooks 1.0: HMAC-SHA256 of id, time and body.
func (f *Forwarder) sign(request *http.Request, id string, body []byte) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, f.cfg.Secret)
	mac.Write([]byte(id + "." + now + "."))
	mac.Write(body)
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", now)
	request.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
