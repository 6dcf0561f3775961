package doctor

import (
	"context"
	"fmt"
	"strings"

	"clientele/cmd/internal/inspect"
	"clientele/domain"
	"clientele/publisher/streams"
)

// rights checks what this credential may do on NATS, as far as that can be tried without a change.
func rights(ctx context.Context, v *visit) []inspect.Finding {
	id, err := domain.NewID()
	if err != nil {
		return []inspect.Finding{warn(err.Error(), "", "")}
	}
	var lacking []string
	note := func(what string, err error) {
		if err != nil {
			lacking = append(lacking, fmt.Sprintf("%s: %v", what, err))
		}
	}
	for _, subject := range []string{
		domain.SubjectCreate + id.String(), domain.SubjectCreated, domain.SubjectErased, domain.SubjectAudit + string(domain.AuditErase),
		domain.SubjectPosition + probe, domain.SubjectUndelivered + probe + ".0", streams.WebhookKeys + probe,
	} {
		note("publish to "+subject, v.tryPublish(ctx, subject, nil, nil))
	}
	for _, action := range []string{"STREAM.UPDATE.", "STREAM.PURGE.", "STREAM.MSG.DELETE.", "CONSUMER.DELETE.", "CONSUMER.PAUSE."} {
		subject := "$JS.API." + action + probe
		if strings.HasPrefix(action, "CONSUMER.") {
			subject += ".x"
		}
		note("request "+subject, v.tryRequest(ctx, subject))
	}
	if len(lacking) > 0 {
		return []inspect.Finding{warn("operator commands would fail: "+strings.Join(lacking, "; "),
			"Use the operator's credentials, or grant these rights as deploy/nats/accounts.conf does", seeSecurity)}
	}
	return []inspect.Finding{ok("this credential has the rights that operator commands need")}
}
