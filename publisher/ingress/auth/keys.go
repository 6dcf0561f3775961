package auth

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// keyPrefix begins every API key, so that people and secret scanners know one when they see it.
const keyPrefix = "clk_"

const (
	keyIDBytes = 5
	// secretBytes make a key that cannot be guessed, which is why a plain hash of it, without salt or stretching, is enough.
	secretBytes = 32
)

// encoding is base32 (RFC 4648) in lower case: no character of it needs a quote anywhere.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Key is an API key as the keys file has it: without the key itself.
type Key struct {
	// ID names the key among others. It is a part of the key, and no secret.
	ID   string
	Hash [sha256.Size]byte // of the whole key
	Caller
	// Expires is zero for a key that does not.
	Expires time.Time
}

// Expired says whether the key has expired by then.
func (k Key) Expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// NewKey makes a key, and returns the token that the caller sends: it cannot be had again.
func NewKey(caller Caller, expires time.Time) (key Key, token string) {
	random := make([]byte, keyIDBytes+secretBytes)
	_, _ = rand.Read(random) // never fails
	id := encoding.EncodeToString(random[:keyIDBytes])
	token = keyPrefix + id + "_" + encoding.EncodeToString(random[keyIDBytes:])
	return Key{ID: id, Hash: sha256.Sum256([]byte(token)), Caller: caller, Expires: expires.UTC().Truncate(time.Second)}, token
}

// never is written for a key that does not expire.
const never = "never"

// String is the key's line in the keys file: id, hash, name, scopes and expiry, with spaces in between.
func (k Key) String() string {
	names := make([]string, len(k.Scopes))
	for i, s := range k.Scopes {
		names[i] = string(s)
	}
	expires := never
	if !k.Expires.IsZero() {
		expires = k.Expires.Format(time.RFC3339)
	}
	return strings.Join([]string{k.ID, hex.EncodeToString(k.Hash[:]), k.Name, strings.Join(names, ","), expires}, " ")
}

// namePattern is what API keys may be named: nothing that a header, a log or a shell would trip over.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ParseName checks the name of a caller.
func ParseName(s string) (string, error) {
	if !namePattern.MatchString(s) {
		return "", errors.New("a name has up to 64 letters, digits, dots, dashes and underscores")
	}
	return s, nil
}

// ParseScopes reads scopes with commas in between.
func ParseScopes(s string) ([]Scope, error) {
	var parsed []Scope
	for name := range strings.SplitSeq(s, ",") {
		scope := Scope(name)
		if !slices.Contains(scopes, scope) {
			return nil, fmt.Errorf("the scopes are %s and %s, with a comma in between", ScopeWrite, ScopeRead)
		}
		if !slices.Contains(parsed, scope) {
			parsed = append(parsed, scope)
		}
	}
	return parsed, nil
}

// ParseKeys reads a keys file: a key a line, empty lines and those that begin with # aside. An error names the line.
func ParseKeys(file []byte) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(bytes.NewReader(file))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := parseKey(line)
		if err == nil && slices.ContainsFunc(keys, func(k Key) bool { return k.ID == key.ID }) {
			err = fmt.Errorf("the id %s is there twice", key.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys = append(keys, key)
	}
	return keys, lines.Err()
}

func parseKey(line string) (key Key, err error) {
	fields := strings.Fields(line)
	if len(fields) != 5 {
		return key, errors.New("a key has 5 fields: id, hash, name, scopes and expiry")
	}
	key.ID = fields[0]
	if id, err := encoding.DecodeString(key.ID); err != nil || len(id) != keyIDBytes || encoding.EncodeToString(id) != key.ID {
		return key, errors.New("the id is not one of clientele keys new")
	}
	if n, err := hex.Decode(key.Hash[:], []byte(fields[1][:min(len(fields[1]), 2*sha256.Size)])); err != nil || n != sha256.Size || len(fields[1]) != 2*sha256.Size {
		return key, errors.New("the hash is not a SHA-256 in hexadecimal")
	}
	if key.Name, err = ParseName(fields[2]); err != nil {
		return key, err
	}
	if key.Scopes, err = ParseScopes(fields[3]); err != nil {
		return key, err
	}
	if fields[4] != never {
		if key.Expires, err = time.Parse(time.RFC3339, fields[4]); err != nil {
			return key, fmt.Errorf("the expiry is neither %q nor a time by RFC 3339", never)
		}
		key.Expires = key.Expires.UTC().Truncate(time.Second)
	}
	return key, nil
}

// Keyring knows the keys of a file.
type Keyring struct {
	path string
	keys atomic.Pointer[map[string]Key]
}

// NewKeyring returns a keyring without keys: Load has those of the file.
func NewKeyring(path string) *Keyring {
	k := &Keyring{path: path}
	k.keys.Store(&map[string]Key{})
	return k
}

// Load reads the file. If that fails, the keys stay as they were.
func (k *Keyring) Load() error {
	file, err := os.ReadFile(k.path)
	if err != nil {
		return err
	}
	keys, err := ParseKeys(file)
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	byID := make(map[string]Key, len(keys))
	for _, key := range keys {
		byID[key.ID] = key
	}
	k.keys.Store(&byID)
	return nil
}

// Authenticate returns the caller whose key it is. It takes as long for a key that is there as for one that is not.
func (k *Keyring) Authenticate(_ context.Context, token string) (Caller, error) {
	hash := sha256.Sum256([]byte(token))
	id, _, _ := strings.Cut(strings.TrimPrefix(token, keyPrefix), "_")
	key, found := (*k.keys.Load())[id] // the zero key has a hash that nobody finds a token for
	same := subtle.ConstantTimeCompare(hash[:], key.Hash[:]) == 1
	if !found || !same || key.Expired(time.Now()) {
		return Caller{}, ErrInvalidToken
	}
	return key.Caller, nil
}
