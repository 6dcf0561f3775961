package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clientele/publisher/ingress/auth"
	"clientele/publisher/publishertest"

	"github.com/go-jose/go-jose/v4"
)

var writer = auth.Caller{Name: "pipeline", Scopes: []auth.Scope{auth.ScopeWrite}}

// keyring returns a keyring that has loaded a file with these lines, and the path of the file.
func keyring(t *testing.T, lines ...string) (*auth.Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	k := auth.NewKeyring(path)
	if err := k.Load(); err != nil {
		t.Fatal(err)
	}
	return k, path
}

func TestKeys(t *testing.T) {
	key, token := auth.NewKey(writer, time.Now().Add(time.Hour))
	_, other := auth.NewKey(writer, time.Time{})
	past, pastToken := auth.NewKey(writer, time.Now().Add(-time.Hour))
	k, path := keyring(t, "# a comment", "", key.String(), past.String())
	caller, err := k.Authenticate(t.Context(), token)
	if err != nil || caller.Name != "pipeline" || !caller.May(auth.ScopeWrite) || caller.May(auth.ScopeRead) {
		t.Errorf("%+v, %v", caller, err)
	}
	for name, token := range map[string]string{
		"another key": other, "an expired key": pastToken, "a part": token[:len(token)-1], "the id": "clk_" + key.ID,
		"the id and nothing": "clk_" + key.ID + "_", "nothing": "", "more": token + "a",
	} {
		if caller, err := k.Authenticate(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
	if strings.Contains(key.String(), token) || strings.Contains(key.String(), strings.Split(token, "_")[2]) {
		t.Error("the file has the key itself")
	}
	// After an error in the file, the loaded keys remain valid.
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Load(); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("garbage: %v", err)
	}
	if _, err := k.Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
}

func TestParseKeys(t *testing.T) {
	key, _ := auth.NewKey(writer, time.Now().Add(time.Hour))
	fields := strings.Fields(key.String())
	with := func(i int, value string) string {
		changed := slices.Clone(fields)
		changed[i] = value
		return strings.Join(changed, " ")
	}
	for line, want := range map[string]string{
		"x":                                "5 fields",
		key.String() + " x":                "5 fields",
		with(0, "AAAAAAAA"):                "the id",
		with(0, "aaaaaaa"):                 "the id",
		with(1, fields[1][2:]):             "the hash",
		with(1, fields[1]+"00"):            "the hash",
		with(1, "zz"+fields[1][2:]):        "the hash",
		with(2, "a/b"):                     "a name",
		with(3, "everything"):              "the scopes must be",
		with(4, "tomorrow"):                "the expiry",
		key.String() + "\n" + key.String(): "line 2: the id",
	} {
		if _, err := auth.ParseKeys([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

// FuzzParseKeys checks that keys that can be parsed are the same after they are written and parsed again.
func FuzzParseKeys(f *testing.F) {
	key, _ := auth.NewKey(writer, time.Time{})
	f.Add([]byte(key.String()))
	f.Add([]byte("# comment\n\n" + strings.Replace(key.String(), "never", "2027-01-01T00:00:00+01:00", 1)))
	f.Add([]byte("a b c d e"))
	f.Fuzz(func(t *testing.T, file []byte) {
		keys, err := auth.ParseKeys(file)
		if err != nil {
			return
		}
		var lines []string
		for _, k := range keys {
			lines = append(lines, k.String())
		}
		again, err := auth.ParseKeys([]byte(strings.Join(lines, "\n")))
		if err != nil || len(again) != len(keys) {
			t.Fatalf("%q: %v", lines, err)
		}
		for i := range keys {
			if again[i].String() != keys[i].String() || !again[i].Expires.Equal(keys[i].Expires) {
				t.Errorf("%v, then %v", keys[i], again[i])
			}
		}
	})
}

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

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
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
	o, err := auth.OpenOIDC(t.Context(), i.URL, "clientele")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	claims := func(changes ...any) map[string]any {
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
	good := sign(t, jose.ES256, key, "1", claims())
	caller, err := o.Authenticate(t.Context(), good)
	if err != nil || caller.Name != "oidc:crm" || !caller.May(auth.ScopeWrite) || caller.May(auth.ScopeRead) {
		t.Fatalf("%+v, %v", caller, err)
	}
	caller, err = o.Authenticate(t.Context(), sign(t, jose.ES256, key, "1", claims("scope", nil, "scp", []string{"clients:read"}, "aud", []string{"x", "clientele"})))
	if err != nil || caller.May(auth.ScopeWrite) || !caller.May(auth.ScopeRead) {
		t.Errorf("%+v, %v", caller, err)
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

func TestChain(t *testing.T) {
	key, token := auth.NewKey(writer, time.Time{})
	k, _ := keyring(t, key.String())
	if _, err := (auth.Chain{Keys: k}).Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
	for _, token := range []string{"a.b.c", "", "clk_", token + "x"} {
		if _, err := (auth.Chain{Keys: k}).Authenticate(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%q: %v", token, err)
		}
	}
	if _, err := auth.OpenOIDC(context.Background(), "http://127.0.0.1:1", "clientele"); err == nil {
		t.Error("an issuer that does not answer is accepted")
	}
}
