package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// algorithms are the accepted signature algorithms. All of them sign with a private key, which only the issuer has.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

const (
	issuerTimeout = 3 * time.Second
	// keyFetches limits how often the issuer's keys are fetched, because every token with an unknown key causes a fetch. Each
	// fetch serves all callers, so a token with a new key is accepted within a second.
	keyFetches = rate.Limit(1) // per second
	maxSubject = 255           // OpenID Connect Core 1.0, section 2
)

// OIDC authenticates callers by tokens that one OpenID Connect issuer signed for one audience.
type OIDC struct{ verifier *oidc.IDTokenVerifier }

// OpenOIDC discovers the issuer's key endpoint (OpenID Connect Discovery 1.0). Keys are fetched when a token needs an unknown
// one, so the issuer may change them at any time.
func OpenOIDC(ctx context.Context, issuer, audience string) (*OIDC, error) {
	client := &http.Client{Transport: limited{rate.NewLimiter(keyFetches, 5)}, Timeout: issuerTimeout}
	// The verifier keeps the context and fetches keys after this function returns.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client), issuer)
	if err != nil {
		return nil, err
	}
	return &OIDC{provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: algorithms})}, nil
}

// limited refuses requests above a rate.
type limited struct{ limiter *rate.Limiter }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if !l.limiter.Allow() {
		return nil, errors.New("the issuer's keys were requested a moment ago")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Authenticate checks the signature of the token, its iss, aud, exp and nbf, and returns its sub as the caller.
func (o *OIDC) Authenticate(ctx context.Context, token string) (Caller, error) {
	verified, err := o.verifier.Verify(ctx, token)
	// The library has no typed error for keys that it cannot fetch. In this case the token itself was not checked.
	if err != nil && strings.Contains(err.Error(), "fetching keys") {
		return Caller{}, fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	if err != nil {
		return Caller{}, ErrInvalidToken
	}
	var claims struct {
		Scope any `json:"scope"` // RFC 8693, section 4.2: a string, separated by spaces
		Scp   any `json:"scp"`   // used by some issuers instead, often an array
	}
	if err := verified.Claims(&claims); err != nil || !isSubject(verified.Subject) {
		return Caller{}, ErrInvalidToken
	}
	// The prefix distinguishes it from the names of API keys, which have no colon.
	caller := Caller{Name: "oidc:" + verified.Subject}
	for _, name := range append(words(claims.Scope), words(claims.Scp)...) {
		for _, scope := range scopes {
			if name == string(scope) {
				caller.Scopes = append(caller.Scopes, scope)
			}
		}
	}
	return caller, nil
}

// isSubject reports whether a header can carry the subject.
func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// words returns the strings of a claim that is a string of words, or an array of them.
func words(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return strings.Fields(claim)
	case []any:
		var all []string
		for _, element := range claim {
			if s, ok := element.(string); ok {
				all = append(all, s)
			}
		}
		return all
	default:
		return nil
	}
}
