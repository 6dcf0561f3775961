package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an OpenID Connect issuer.
type issuer struct {
	*httptest.Server
	keys    atomic.Pointer[jose.JSONWebKeySet]
	fetches atomic.Int64
	down    atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.keys.Store(&jose.JSONWebKeySet{})
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		if i.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		write(w, i.keys.Load())
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// rotate replaces the issuer's key.
func (i *issuer) rotate(t *testing.T, id string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.keys.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: id, Algorithm: "ES256", Use: "sig"}}})
	return key
}

// claims returns the claims of a token, with changes: pairs of a name and a value, nil for none.
func (i *issuer) claims(changes ...any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": i.URL, "aud": "clientele", "sub": "crm", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"scope": "openid clients:write",
	}
	for pair := range slices.Chunk(changes, 2) {
		c[pair[0].(string)] = pair[1]
		if pair[1] == nil {
			delete(c, pair[0].(string))
		}
	}
	return c
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	return signTyped(t, "", algorithm, key, id, claims)
}

// signTyped is sign with a typ in the header, unless that is "".
func signTyped(t *testing.T, typ string, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestOIDC(t *testing.T) {
	i := newIssuer(t)
	key := i.rotate(t, "1")
	o, err := auth.OpenOIDC(t.Context(), auth.OIDCConfig{Issuer: i.URL, Audience: "clientele"})
	if err != nil {
		t.Fatal(err)
	}
	now, claims := time.Now(), i.claims
	good := sign(t, jose.ES256, key, "1", claims())
	caller, err := o.Authenticate(t.Context(), good)
	if err != nil || caller.Name != "oidc:crm" || !caller.May(auth.ScopeWrite) || caller.May(auth.ScopeRead) {
		t.Fatalf("%+v, %v", caller, err)
	}
	caller, err = o.Authenticate(t.Context(), sign(t, jose.ES256, key, "1", claims("scope", nil, "scp", []string{"clients:read"}, "aud", []string{"x", "clientele"})))
	if err != nil || caller.May(auth.ScopeWrite) || !caller.May(auth.ScopeRead) {
		t.Errorf("%+v, %v", caller, err)
	}
	caller, err = o.Authenticate(t.Context(), sign(t, jose.ES256, key, "1", claims("sub", strings.Repeat("~", 255))))
	if err != nil || !domain.IsCaller(caller.Name) {
		t.Errorf("workers refuse the longest subject, %q (%v)", caller.Name, err)
	}
	if caller, err := o.Authenticate(t.Context(), sign(t, jose.ES256, key, "1", claims("sub", strings.Repeat("~", 256)))); err == nil {
		t.Errorf("a longer subject: %q", caller.Name)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	header, payload, _ := strings.Cut(good, ".")
	for name, token := range map[string]string{
		"expired":                    sign(t, jose.ES256, key, "1", claims("exp", now.Add(-time.Minute).Unix())),
		"no expiry":                  sign(t, jose.ES256, key, "1", claims("exp", nil)),
		"not yet":                    sign(t, jose.ES256, key, "1", claims("nbf", now.Add(time.Hour).Unix())),
		"another audience":           sign(t, jose.ES256, key, "1", claims("aud", "others")),
		"no audience":                sign(t, jose.ES256, key, "1", claims("aud", nil)),
		"another issuer":             sign(t, jose.ES256, key, "1", claims("iss", "https://issuer.example.com")),
		"no subject":                 sign(t, jose.ES256, key, "1", claims("sub", "")),
		"a subject with line breaks": sign(t, jose.ES256, key, "1", claims("sub", "a\r\nb")),
		"a stranger's key":           sign(t, jose.ES256, stranger, "1", claims()),
		"an unknown key":             sign(t, jose.ES256, stranger, "2", claims()),
		"a shared secret":            sign(t, jose.HS256, public, "1", claims()),
		"no algorithm":               "eyJhbGciOiJub25lIn0." + strings.Split(payload, ".")[0] + ".",
		"another signature":          header + "." + strings.Split(payload, ".")[0] + "." + strings.Repeat("A", 86),
		"nothing":                    "",
		"garbage":                    "a.b.c",
	} {
		if caller, err := o.Authenticate(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
	// A token that is signed with a new key is accepted soon.
	rotated := sign(t, jose.ES256, i.rotate(t, "3"), "3", claims())
	publishertest.Eventually(t, "the new key is known", func() bool {
		_, err := o.Authenticate(t.Context(), rotated)
		return err == nil
	})
	// If the issuer's keys cannot be fetched, the error does not blame the token. A request during an earlier fetch shares its result.
	next := sign(t, jose.ES256, i.rotate(t, "4"), "4", claims())
	i.down.Store(true)
	publishertest.Eventually(t, "the issuer is seen to be down", func() bool {
		_, err := o.Authenticate(t.Context(), next)
		return err != nil && !errors.Is(err, auth.ErrInvalidToken)
	})
	// Tokens with invented key ids do not cause a fetch each.
	before := i.fetches.Load()
	for n := range 50 {
		_, _ = o.Authenticate(t.Context(), sign(t, jose.ES256, stranger, "made up "+string(rune('a'+n)), claims()))
	}
	if n := i.fetches.Load() - before; n > 10 {
		t.Errorf("asked for keys %d times", n)
	}
}

// TestForgedTokens checks that forged tokens are never taken for tokens that could not be checked while the issuer answers, and that
// they do not cause a request to the issuer each.
func TestForgedTokens(t *testing.T) {
	i := newIssuer(t)
	key := i.rotate(t, "1")
	o, err := auth.OpenOIDC(t.Context(), auth.OIDCConfig{Issuer: i.URL, Audience: "clientele"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Authenticate(t.Context(), sign(t, jose.ES256, key, "1", i.claims())); err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	start, before := time.Now(), i.fetches.Load()
	for n := range 100 {
		forged := sign(t, jose.ES256, stranger, "invented "+string(rune('0'+n)), i.claims())
		if caller, err := o.Authenticate(t.Context(), forged); !errors.Is(err, auth.ErrInvalidToken) {
			t.Fatalf("token %d: %+v, %v", n, caller, err)
		}
	}
	if n, limit := i.fetches.Load()-before, int64(time.Since(start)/time.Second)+1; n > limit {
		t.Errorf("100 forged tokens caused %d requests to the issuer, want %d", n, limit)
	}
	// The error of the library quotes the algorithm.
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"fetching keys "}`))
	if caller, err := o.Authenticate(t.Context(), header+".e30.AA"); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("%+v, %v", caller, err)
	}
}

// TestAccessTokens checks that tokens that are not meant for an API are refused (RFC 9068, section 4).
func TestAccessTokens(t *testing.T) {
	i := newIssuer(t)
	key := i.rotate(t, "1")
	open := func(cfg auth.OIDCConfig) *auth.OIDC {
		cfg.Issuer, cfg.Audience = i.URL, "clientele"
		o, err := auth.OpenOIDC(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	byDefault := open(auth.OIDCConfig{})
	lenient, strict := open(auth.OIDCConfig{AllowClientAudience: true}), open(auth.OIDCConfig{RequireATJWT: true})
	for name, c := range map[string]struct {
		typ                 string
		claims              []any
		accepted, leniently bool
	}{
		"RFC 9068":                      {"at+jwt", []any{"client_id", "crm-app"}, true, true},
		"RFC 9068, media type":          {"application/at+jwt", []any{"client_id", "crm-app"}, true, true},
		"RFC 9068, upper case":          {"AT+JWT", []any{"client_id", "crm-app"}, true, true},
		"no type":                       {"", nil, true, true},
		"JWT":                           {"JWT", []any{"azp", "crm-app"}, true, true},
		"for its own client":            {"at+jwt", []any{"client_id", "clientele"}, false, true},
		"for its own client, azp":       {"JWT", []any{"azp", "clientele"}, false, true},
		"for its own client and others": {"JWT", []any{"azp", "web", "aud", []string{"clientele", "web"}}, false, true},
		"ID token with a nonce":         {"JWT", []any{"nonce", "n"}, false, true},
		"ID token with an at_hash":      {"", []any{"at_hash", "h"}, false, true},
		"logout token":                  {"logout+jwt", nil, false, false},
		"proof of possession":           {"dpop+jwt", nil, false, false},
	} {
		token := signTyped(t, c.typ, jose.ES256, key, "1", i.claims(c.claims...))
		isTyped := strings.HasSuffix(strings.ToLower(c.typ), "at+jwt")
		for o, want := range map[*auth.OIDC]bool{byDefault: c.accepted, lenient: c.leniently, strict: c.accepted && isTyped} {
			if _, err := o.Authenticate(t.Context(), token); (err == nil) != want || err != nil && !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s, client audience allowed: %v, at+jwt required: %v: %v, want accepted: %v", name, o == lenient, o == strict, err, want)
			}
		}
	}
}
