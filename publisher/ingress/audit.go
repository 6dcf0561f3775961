package ingress

import (
	"context"
	"net"
	"net/http"

	"clientele/domain"
	"clientele/publisher/ingress/auth"
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

// auditRecord returns the record of a request.
func auditRecord(r *http.Request, caller auth.Caller, action domain.AuditAction, result domain.AuditResult) domain.AuditRecord {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	return domain.AuditRecord{Action: action, Result: result, Address: address, Actor: domain.AuditActor{Kind: domain.AuditCaller, Name: caller.Name, KeyID: caller.KeyID}}
}
