package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// keyFreshness limits how often the issuer's keys are fetched: once a second. The library fetches them for every token that no known
// key has signed. Each fetch serves all callers, so a token with a new key is accepted within a second.
const keyFreshness = rate.Limit(1)

var (
	// errKeysAreFresh means that the known keys are the issuer's keys: a token that none of them has signed is forged.
	errKeysAreFresh = errors.New("the issuer's keys were fetched a moment ago")
	errFetchFailed  = errors.New("the issuer's keys could not be fetched a moment ago")
)

// keyFetches sends the requests for the issuer's keys, at a limited rate.
type keyFetches struct {
	limiter   *rate.Limiter
	succeeded atomic.Bool // the last request
}

func newKeyFetches() *keyFetches { return &keyFetches{limiter: rate.NewLimiter(keyFreshness, 1)} }

// RoundTrip sends the request, or returns errKeysAreFresh or errFetchFailed if it was sent a moment ago.
func (f *keyFetches) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case f.limiter.Allow():
		response, err := http.DefaultTransport.RoundTrip(r)
		f.succeeded.Store(err == nil && response.StatusCode == http.StatusOK)
		return response, err
	case f.succeeded.Load():
		return nil, errKeysAreFresh
	default:
		return nil, errFetchFailed
	}
}

// signatureCheck checks the signature of one token. It records the error of a fetch, which the verifier would turn into text.
type signatureCheck struct {
	keys     oidc.KeySet
	fetchErr error // the keys could not be fetched, so the token was not checked
}

// VerifySignature implements oidc.KeySet.
func (s *signatureCheck) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := s.keys.VerifySignature(ctx, token)
	// The library has no typed error. The text is its own: it has no part of the token.
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys ") && !errors.Is(err, errKeysAreFresh) {
		s.fetchErr = err
	}
	return payload, err
}
