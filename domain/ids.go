package domain

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Fingerprint is the SHA-256 of a command's canonical details. Two requests describe the same client if their fingerprints are equal.
type Fingerprint [sha256.Size]byte

// String returns the fingerprint in lower-case hexadecimal.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// ParseFingerprint parses the result of String.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	if len(s) != hex.EncodedLen(len(f)) {
		return f, fmt.Errorf("fingerprint has %d characters, not %d", len(s), hex.EncodedLen(len(f)))
	}
	if _, err := hex.Decode(f[:], []byte(s)); err != nil {
		return Fingerprint{}, fmt.Errorf("fingerprint: %w", err)
	}
	return f, nil
}

// NewID returns an id for a command without an idempotency key: a UUIDv7 (RFC 9562), which sorts by time.
func NewID() (uuid.UUID, error) { return uuid.NewV7() }

// keyNamespace is the namespace of the UUIDv5 of idempotency keys. It must never change: ids of retries depend on it.
var keyNamespace = uuid.MustParse("8b1c6a52-52a8-5d0e-9f0b-6d1f3c0a7e64")

// KeyedID returns the id of the command that this caller sent under this idempotency key. Every ingress with the same secret computes the
// same id for a retry without a look-up, and nobody without the secret can. Neither the caller nor the key may contain a NUL.
//
// The id is a UUIDv8 (RFC 9562, section 5.8) of an HMAC-SHA-256. An installation of version 0.1 has no secret: with "" the id is the
// UUIDv5 that it has always been, so that a retry after the upgrade finds its client.
func KeyedID(secret, caller, key string) uuid.UUID {
	name := []byte(caller + "\x00" + key)
	if secret == "" {
		return uuid.NewSHA1(keyNamespace, name)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(name)
	id := uuid.UUID(mac.Sum(nil)[:len(uuid.UUID{})])
	id[6] = id[6]&0x0f | 0x80 // the version
	id[8] = id[8]&0x3f | 0x80 // the variant
	return id
}

// IsKeyed reports whether the id may belong to an idempotency key, so that other requests may have the same.
func IsKeyed(id uuid.UUID) bool { return id.Version() != 7 }

// ParseID parses an id in the form of RFC 9562, section 4: 36 characters, in either case, with hyphens only. The error does not quote s.
func ParseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || !strings.EqualFold(id.String(), s) {
		return uuid.Nil, errors.New("the id is not a UUID of 36 characters")
	}
	return id, nil
}
