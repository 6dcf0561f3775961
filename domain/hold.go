package domain

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
)

// Hold is a legal hold: the store does not erase the client up to the end of a day. It contains no personal data.
type Hold struct {
	// Hash is ErasureHash of the client's id.
	Hash [sha256.Size]byte
	// LastDay is the beginning of the last day of the hold, in UTC.
	LastDay time.Time
	// HeldAt is in UTC, in microseconds.
	HeldAt time.Time
	// Reason and Operator are what the operator stated, or "".
	Reason, Operator string
}

// NewHold returns a hold of the client with this id, up to the end of lastDay.
func NewHold(id uuid.UUID, lastDay, at time.Time, reason, operator string) Hold {
	return Hold{Hash: ErasureHash(id), LastDay: lastDay, HeldAt: Timestamp(at), Reason: reason, Operator: operator}
}

// Active reports whether the hold counts at this time.
func (h Hold) Active(at time.Time) bool { return at.Before(h.LastDay.AddDate(0, 0, 1)) }

// Until returns the last day of the hold, as YYYY-MM-DD.
func (h Hold) Until() string { return h.LastDay.Format(time.DateOnly) }
