package auth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json"
)

// algorithms are the accepted signature algorithms. All of them sign with a private key, which only the issuer has.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

const (
	issuerTimeout = 3 * time.Second
	maxSubject    = 255 // OpenID Connect Core 1.0, section 2
)

// OIDCConfig configures OpenOIDC.
type OIDCConfig struct {
	Issuer, Audience string
	// AllowClientAudience accepts tokens whose audience is the client that they were issued to, such as ID tokens.
	AllowClientAudience bool
	// RequireATJWT accepts only tokens whose typ is at+jwt (RFC 9068).
	RequireATJWT bool
}

// OIDC authenticates callers by tokens that one OpenID Connect issuer signed for one audience.
type OIDC struct {
	cfg  OIDCConfig
	keys oidc.KeySet
}

// OpenOIDC discovers the issuer's key endpoint (OpenID Connect Discovery 1.0). Keys are fetched when a token needs an unknown
// one, so the issuer may change them at any time.
func OpenOIDC(ctx context.Context, cfg OIDCConfig) (*OIDC, error) {
	client := &http.Client{Timeout: issuerTimeout}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var endpoints struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&endpoints); err != nil {
		return nil, fmt.Errorf("read the issuer's configuration: %w", err)
	}
	fetches := &http.Client{Transport: newKeyFetches(), Timeout: issuerTimeout}
	return &OIDC{cfg, oidc.NewRemoteKeySet(oidc.ClientContext(ctx, fetches), endpoints.Keys)}, nil
}

// Authenticate checks the signature of the token, its typ, iss, aud, exp and nbf, and returns its sub as the caller.
func (o *OIDC) Authenticate(ctx context.Context, token string) (Caller, error) {
	signature := &signatureCheck{keys: o.keys}
	verifier := oidc.NewVerifier(o.cfg.Issuer, signature, &oidc.Config{ClientID: o.cfg.Audience, SupportedSigningAlgs: algorithms})
	verified, err := verifier.Verify(ctx, token)
	if signature.fetchErr != nil {
		return Caller{}, fmt.Errorf("fetch the issuer's keys: %w", signature.fetchErr)
	}
	if err != nil {
		return Caller{}, ErrInvalidToken
	}
	var claims claims
	if err := verified.Claims(&claims); err != nil || !isSubject(verified.Subject) || !o.isAccessToken(token, verified, claims) {
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

// claims are those that the library does not read.
type claims struct {
	Scope any `json:"scope"` // RFC 8693, section 4.2: a string, separated by spaces
	Scp   any `json:"scp"`   // used by some issuers instead, often an array
	// The client that the token was issued to: RFC 9068, section 2.2, and OpenID Connect Core 1.0, section 2.
	ClientID any `json:"client_id"`
	AZP      any `json:"azp"`
}

// isAccessToken reports whether a verified token is meant for an API. An ID token is meant for the client that it was issued to. The
// typ of an access token is at+jwt (RFC 9068, section 2.1). By default, Keycloak, Microsoft Entra ID and Auth0 set JWT: then a nonce or an
// at_hash marks an ID token.
func (o *OIDC) isAccessToken(token string, verified *oidc.IDToken, claims claims) bool {
	typ := typeOf(token)
	if typ != "at+jwt" && (o.cfg.RequireATJWT || typ != "jwt" && typ != "") {
		return false
	}
	if o.cfg.AllowClientAudience {
		return true
	}
	isClient := func(audience string) bool { return claims.ClientID == audience || claims.AZP == audience }
	isIDToken := typ != "at+jwt" && (verified.Nonce != "" || verified.AccessTokenHash != "")
	return !isIDToken && !slices.ContainsFunc(verified.Audience, isClient)
}

// typeOf returns the media type in the header of a token, in lower case and without application/ (RFC 7515, section 4.1.9).
func typeOf(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	var header struct {
		Typ string `json:"typ"`
	}
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(text, &header) != nil {
		return "invalid"
	}
	return strings.TrimPrefix(strings.ToLower(header.Typ), "application/")
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
