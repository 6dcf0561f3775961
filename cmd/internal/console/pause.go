package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher/workers"
)

// asVisitor records what a visitor does under the name of the visitor.
type asVisitor struct {
	audit   Audit
	visitor visitor
}

// Act is that of audit.Recorder.
func (a asVisitor) Act(ctx context.Context, record domain.AuditRecord, do func(end *domain.AuditRecord) error) error {
	record.Actor, record.Address = a.visitor.actor, a.visitor.address
	return a.audit.Act(ctx, record, do)
}

// pause is POST /workers/pause.
func (c *Console) pause(w http.ResponseWriter, r *http.Request, v visitor) {
	length, _ := time.ParseDuration(r.PostFormValue("for")) // 0, which is too short, if it is none
	_, err := workers.Pause(r.Context(), c.js, asVisitor{c.cfg.Audit, v}, length, strings.TrimSpace(r.PostFormValue("reason")))
	switch {
	case domain.CodeOf(err) == domain.CodeInvalid:
		c.fail(w, v, http.StatusBadRequest, "The workers are not paused: "+err.Error()+".")
	case err != nil:
		c.unavailable(w, v, err)
	default:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// resume is POST /workers/resume. Workers that are not paused stay so.
func (c *Console) resume(w http.ResponseWriter, r *http.Request, v visitor) {
	if _, err := workers.Resume(r.Context(), c.js, asVisitor{c.cfg.Audit, v}); err != nil {
		c.unavailable(w, v, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
