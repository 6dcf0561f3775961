package cli

import (
	"errors"
	"time"

	"clientele/store"
)

// holdFacts describe a legal hold.
type holdFacts struct {
	Until    string    `json:"until"`
	HeldAt   time.Time `json:"heldAt"`
	Reason   string    `json:"reason"`
	Operator string    `json:"operator"`
}

// activeHold returns the hold that counts now, or nil.
func activeHold(marks store.Marks) *holdFacts {
	held, ok := errors.AsType[*store.HeldError](marks.Refuse(time.Now()))
	if !ok {
		return nil
	}
	return &holdFacts{held.Hold.Until(), held.Hold.HeldAt, held.Hold.Reason, held.Hold.Operator}
}

// erasureFacts describe a tombstone.
type erasureFacts struct {
	ErasedAt time.Time `json:"erasedAt"`
	Reason   string    `json:"reason"`
	Operator string    `json:"operator"`
}
