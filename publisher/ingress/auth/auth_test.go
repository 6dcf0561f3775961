package auth_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/publisher/ingress/auth"
)

var writer = auth.Caller{Name: "pipeline", Scopes: []auth.Scope{auth.ScopeWrite}}

// keyring returns a keyring that has loaded a file with these lines, and the path of the file.
func keyring(t *testing.T, lines ...string) (*auth.Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	k := auth.NewKeyring(auth.KeyringConfig{Path: path, Grace: time.Minute})
	if changed, err := k.Load(); err != nil || !changed {
		t.Fatal(changed, err)
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
	if _, err := k.Load(); err == nil || !strings.Contains(err.Error(), "line 1") {
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
	if _, err := auth.OpenOIDC(context.Background(), auth.OIDCConfig{Issuer: "http://127.0.0.1:1", Audience: "clientele"}); err == nil {
		t.Error("an issuer that does not answer is accepted")
	}
}
