package store

import (
	"time"

	"clientele/domain"
)

// Marks are what a database keeps about ids beside the clients. They contain no personal data.
type Marks struct {
	// Erasures are the tombstones of erased clients, in the order of their hashes.
	Erasures []domain.Erasure
	// Holds are the legal holds, in the order of their hashes; some may have expired.
	Holds []domain.Hold
}

// HeldError means that a legal hold refuses the erasure of a client.
type HeldError struct{ Hold domain.Hold }

func (e *HeldError) Error() string {
	return "a legal hold up to " + e.Hold.Until() + " refuses the erasure"
}

// Refuse returns a *HeldError if a hold counts at this time.
func (m Marks) Refuse(at time.Time) error {
	for _, hold := range m.Holds {
		if hold.Active(at) {
			return &HeldError{Hold: hold}
		}
	}
	return nil
}
