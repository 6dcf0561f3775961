package domain

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// CreateClient is the command: create a client with these details under this id.
type CreateClient struct {
	// ID is the id of the command, of its operation and of the client that it creates.
	ID uuid.UUID
	// Caller is the name of who asked. It scopes idempotency keys.
	Caller string
	// AcceptedAt is when the ingress took the request; UTC, microseconds.
	AcceptedAt  time.Time
	Fingerprint Fingerprint
	Details     Details
	// Body is the canonical JSON of Details, what the log keeps.
	Body []byte
}

// NewCreateClient returns the command for details that Parse returned.
func NewCreateClient(id uuid.UUID, caller string, acceptedAt time.Time, d Details) (CreateClient, error) {
	body, err := d.Canonical()
	if err != nil {
		return CreateClient{}, err
	}
	return CreateClient{
		ID:          id,
		Caller:      caller,
		AcceptedAt:  Timestamp(acceptedAt),
		Fingerprint: sha256.Sum256(body),
		Details:     d,
		Body:        body,
	}, nil
}

// Client returns the record that the command creates, made at the given time.
func (c CreateClient) Client(createdAt time.Time) Client {
	return Client{
		ID:          c.ID,
		Details:     c.Details,
		Status:      StatusNotInvited,
		Fingerprint: c.Fingerprint,
		AcceptedAt:  c.AcceptedAt,
		CreatedAt:   Timestamp(createdAt),
	}
}

// Canonical returns normalised details as JSON in one form only: members in a fixed order, unknown ones left out, so
// that a member that the API gains later changes no fingerprint of before.
func (d *Details) Canonical() ([]byte, error) {
	return json.Marshal(d, json.OmitZeroStructFields(true))
}

// Fingerprint is the SHA-256 of a command's canonical details. Two requests mean the same client if theirs are equal.
type Fingerprint [sha256.Size]byte

// String returns the fingerprint in lower-case hexadecimal.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// ParseFingerprint reads what String wrote.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	if len(s) != hex.EncodedLen(len(f)) {
		return f, fmt.Errorf("fingerprint of %d characters, want %d", len(s), hex.EncodedLen(len(f)))
	}
	if _, err := hex.Decode(f[:], []byte(s)); err != nil {
		return Fingerprint{}, fmt.Errorf("fingerprint: %w", err)
	}
	return f, nil
}

// keyNamespace is the UUIDv5 namespace of idempotency keys. It must never change: ids of retries depend on it.
var keyNamespace = uuid.MustParse("8b1c6a52-52a8-5d0e-9f0b-6d1f3c0a7e64")

// NewID returns an id for a command without an idempotency key: a UUIDv7 (RFC 9562), which sorts by time.
func NewID() (uuid.UUID, error) { return uuid.NewV7() }

// KeyedID returns the id of the command that this caller sent under this idempotency key: a UUIDv5 (RFC 9562), so that
// every ingress gives a retry the same id without asking anyone. Neither string may hold a NUL.
func KeyedID(caller, key string) uuid.UUID {
	return uuid.NewSHA1(keyNamespace, []byte(caller+"\x00"+key))
}

// ParseID reads an id in the form of RFC 9562, section 4: 36 characters, in either case. Forms that the RFC does not have,
// such as braces or no hyphens, are refused. The error does not repeat s.
func ParseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || !strings.EqualFold(id.String(), s) {
		return uuid.Nil, errors.New("the id is not a UUID of 36 characters")
	}
	return id, nil
}
