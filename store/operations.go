package store

import (
	"bytes"
	"slices"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// RejectedOperation is the record of a rejection.
type RejectedOperation struct {
	ID         uuid.UUID
	Caller     string
	Status     domain.OperationStatus
	AcceptedAt *time.Time // nil for unknown
	RejectedAt time.Time
}

// RejectedOperations returns the records of rejections, one for each id, sorted by id. Concurrent workers then lock rows in the same order,
// and never deadlock. It leaves out rejections without an operation that a caller could list: their id is not a UUID, or no ingress has
// their caller. It also leaves out those of erased clients: the tombstone has only a hash of the id.
func RejectedOperations(rejections []domain.Rejection) []RejectedOperation {
	var records []RejectedOperation
	seen := map[uuid.UUID]int{}
	for _, r := range rejections {
		id, err := domain.ParseID(r.ID)
		caller := r.Command.Caller()
		if err != nil || !domain.IsCaller(caller) || r.Reason == domain.CodeErased {
			continue
		}
		record := RejectedOperation{ID: id, Caller: caller, Status: r.Status(), RejectedAt: domain.Timestamp(r.RejectedAt)}
		if header, err := (domain.CommandMessage{Header: r.Command.Headers}).DecodeHeader(); err == nil {
			record.AcceptedAt = &header.AcceptedAt
		}
		if i, ok := seen[id]; ok {
			records[i] = record
			continue
		}
		seen[id] = len(records)
		records = append(records, record)
	}
	slices.SortFunc(records, func(a, b RejectedOperation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return records
}
