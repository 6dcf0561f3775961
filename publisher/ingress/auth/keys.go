package auth

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// keyPrefix starts every API key, so that people and secret scanners recognise it.
const keyPrefix = "clk_"

const (
	keyIDBytes = 5
	// secretBytes is long enough that a key cannot be guessed. That makes a plain hash, without salt or stretching, sufficient.
	secretBytes = 32
)

// encoding is base32 (RFC 4648) in lower case. None of its characters needs quoting anywhere.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Key is an entry of the keys file. It has a hash of the API key, not the key itself.
type Key struct {
	// ID identifies the key. It is a part of the key and not secret.
	ID   string
	Hash [sha256.Size]byte // of the whole key
	Caller
	// Expires is zero for a key that does not expire.
	Expires time.Time
}

// Expired reports whether the key has expired by this time.
func (k Key) Expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// NewKey returns a new key and the token that the caller sends. The token cannot be recovered from the key.
func NewKey(caller Caller, expires time.Time) (key Key, token string) {
	random := make([]byte, keyIDBytes+secretBytes)
	_, _ = rand.Read(random) // never fails
	id := encoding.EncodeToString(random[:keyIDBytes])
	token = keyPrefix + id + "_" + encoding.EncodeToString(random[keyIDBytes:])
	return Key{ID: id, Hash: sha256.Sum256([]byte(token)), Caller: caller, Expires: expires.UTC().Truncate(time.Second)}, token
}

// never is the expiry of a key that does not expire.
const never = "never"

// String returns the key's line in the keys file: id, hash, name, scopes and expiry, separated by spaces.
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

// namePattern matches the names of API keys. They need no quoting in headers, logs or shells.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ParseName checks the name of a caller.
func ParseName(s string) (string, error) {
	if !namePattern.MatchString(s) {
		return "", errors.New("a name must be up to 64 letters, digits, dots, hyphens and underscores, and start with a letter or digit")
	}
	return s, nil
}

// ParseScopes parses scopes that are separated by commas.
func ParseScopes(s string) ([]Scope, error) {
	var parsed []Scope
	for name := range strings.SplitSeq(s, ",") {
		scope := Scope(name)
		if !slices.Contains(scopes, scope) {
			return nil, fmt.Errorf("the scopes must be among %s, %s, %s and %s, separated by commas", ScopeWrite, ScopeRead, ScopeOperator, ScopeOperatorRead)
		}
		if !slices.Contains(parsed, scope) {
			parsed = append(parsed, scope)
		}
	}
	return parsed, nil
}

// ParseKeys parses a keys file, which has one key per line. It ignores empty lines and lines that start with #. An error names
// the line.
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
			err = fmt.Errorf("the id %s occurs twice", key.ID)
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
		return key, errors.New("a key must have 5 fields: id, hash, name, scopes and expiry")
	}
	key.ID = fields[0]
	if id, err := encoding.DecodeString(key.ID); err != nil || len(id) != keyIDBytes || encoding.EncodeToString(id) != key.ID {
		return key, errors.New("the id is not valid")
	}
	if n, err := hex.Decode(key.Hash[:], []byte(fields[1][:min(len(fields[1]), 2*sha256.Size)])); err != nil || n != sha256.Size || len(fields[1]) != 2*sha256.Size {
		return key, errors.New("the hash is not a hexadecimal SHA-256")
	}
	if key.Name, err = ParseName(fields[2]); err != nil {
		return key, err
	}
	if key.Scopes, err = ParseScopes(fields[3]); err != nil {
		return key, err
	}
	if fields[4] != never {
		if key.Expires, err = time.Parse(time.RFC3339, fields[4]); err != nil {
			return key, fmt.Errorf("the expiry is neither %q nor an RFC 3339 time", never)
		}
		key.Expires = key.Expires.UTC().Truncate(time.Second)
	}
	return key, nil
}
