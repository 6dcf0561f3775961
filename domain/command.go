package domain

import (
	"crypto/sha256"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// CreateClient is the command: create a client with these details under this id.
type CreateClient struct {
	// ID is the id of the command, of its operation and of the client that it creates.
	ID uuid.UUID
	// Caller is the name of the key, or the subject of the token, that sent the command. It scopes idempotency keys.
	Caller string
	// KeyID is the id of the API key that the caller used, or "".
	KeyID string
	// AcceptedAt is when the ingress accepted the request; UTC, microseconds.
	AcceptedAt  time.Time
	Fingerprint Fingerprint
	Details     Details
	// Body is the canonical JSON of Details. It is the body of the message on the log.
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

// Client returns the record that the command creates at the given time.
func (c CreateClient) Client(createdAt time.Time) Client {
	return Client{
		ID:          c.ID,
		Details:     c.Details,
		Status:      StatusNotInvited,
		Fingerprint: c.Fingerprint,
		Caller:      c.Caller,
		KeyID:       c.KeyID,
		AcceptedAt:  c.AcceptedAt,
		CreatedAt:   Timestamp(createdAt),
	}
}

// Canonical returns the canonical JSON of normalised details: in a fixed order, unknown members omitted. So a new member changes no fingerprint.
func (d *Details) Canonical() ([]byte, error) {
	return json.Marshal(d, json.OmitZeroStructFields(true))
}

// CreateResult is the result of storing one client.
type CreateResult struct {
	Outcome CreateOutcome
	// Client is the client in the store: the new one if it was Created, else the existing one. It is empty if the client was Erased.
	Client Client
}

// CreateOutcome reports whether a client's id was free in the store.
type CreateOutcome int

const (
	// Created is a client whose id was free.
	Created CreateOutcome = iota + 1
	// Replayed is an existing client, created by a command with the same fingerprint.
	Replayed
	// Conflict is an existing client, created by a command with another fingerprint. The store does not change it.
	Conflict
	// Erased is a client whose id has an Erasure. The store does not create it.
	Erased
)
