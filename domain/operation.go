package domain

import (
	"time"

	"github.com/google/uuid"
)

// Operation is the progress of a command.
type Operation struct {
	ID     uuid.UUID
	Status OperationStatus
	// Sequence is that of the command on the log while the operation is pending.
	Sequence uint64
	// AcceptedAt is zero if it is no longer known.
	AcceptedAt time.Time
	// CompletedAt is zero while the operation is pending.
	CompletedAt time.Time
	// Reason and Errors say why the command was rejected.
	Reason Code
	Errors []Violation
}

// OperationStatus is the state of an Operation.
type OperationStatus string

// The states of an operation. All but the first are final.
const (
	OperationPending   OperationStatus = "pending"
	OperationSucceeded OperationStatus = "succeeded"
	// OperationRejected is for the caller to fix, OperationFailed for the operator.
	OperationRejected OperationStatus = "rejected"
	OperationFailed   OperationStatus = "failed"
)
