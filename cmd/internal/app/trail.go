package app

import (
	"context"

	"clientele/cmd/internal/process"
	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/ingress/auth"
)

// openCollector opens the audit trail for a process that serves the API.
func openCollector(ctx context.Context, p *process.Process, b *backends, file audit.File, role string) (*audit.Collector, error) {
	actor := domain.AuditActor{Kind: domain.AuditProcess, Name: role, Host: audit.HostName()}
	var recorder *audit.Recorder
	err := await(ctx, p, "the audit trail", func(ctx context.Context) (err error) {
		recorder, err = audit.Open(ctx, audit.Config{Conn: b.conn, File: file, Actor: actor, Metrics: p.Metrics})
		return err
	})
	if err != nil {
		return nil, err
	}
	collector := audit.NewCollector(recorder, p.Log)
	p.OnStop("audit trail", func(context.Context) error { collector.Close(); return nil }) //nolint:contextcheck // its last write has a timeout
	return collector, nil
}

// recordKeys returns a function that records a changed key. It applies at once: a key that was revoked must not be accepted for longer.
func recordKeys(trail *audit.Collector) func(key auth.Key, added bool) {
	return func(key auth.Key, added bool) {
		action := domain.AuditKeyRevoked
		if added {
			action = domain.AuditKeyAdded
		}
		trail.Collect(domain.AuditRecord{Action: action, Result: domain.AuditSucceeded, Target: key.ID + " " + key.Name})
	}
}
