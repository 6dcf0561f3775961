package ingress

import (
	"context"

	"clientele/domain"
)

// Audit records what callers do.
type Audit interface {
	// Record returns nil when the records are on disk. After an error, do not do what they record.
	Record(ctx context.Context, records ...domain.AuditRecord) error
	// Collect records without waiting. Equal records become one with their count.
	Collect(record domain.AuditRecord)
}

type noAudit struct{} // records nothing

func (noAudit) Record(context.Context, ...domain.AuditRecord) error { return nil }
func (noAudit) Collect(domain.AuditRecord)                          {}
