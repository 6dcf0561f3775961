package access

import (
	"net"
	"net/http"

	"clientele/domain"
	"clientele/publisher/ingress/auth"
)

// AuditRecord returns the record of a request.
func AuditRecord(r *http.Request, caller auth.Caller, action domain.AuditAction, result domain.AuditResult) domain.AuditRecord {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	return domain.AuditRecord{Action: action, Result: result, Address: address, Actor: domain.AuditActor{Kind: domain.AuditCaller, Name: caller.Name, KeyID: caller.KeyID}}
}
