package domain

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
)

// Erasure is the tombstone of an erased client: the store creates no client under its id. It contains no personal data.
type Erasure struct {
	// Hash is ErasureHash of the client's id.
	Hash [sha256.Size]byte
	// ErasedAt is in UTC, in microseconds.
	ErasedAt time.Time
	// Reason and Operator are what the operator stated, or "".
	Reason, Operator string
}

// NewErasure returns the tombstone of the client with this id.
func NewErasure(id uuid.UUID, at time.Time, reason, operator string) Erasure {
	return Erasure{Hash: ErasureHash(id), ErasedAt: Timestamp(at), Reason: reason, Operator: operator}
}

// ErasureHash returns the SHA-256 of the 16 bytes of an id.
func ErasureHash(id uuid.UUID) [sha256.Size]byte { return sha256.Sum256(id[:]) }
