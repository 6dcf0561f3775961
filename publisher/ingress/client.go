package ingress

import (
	"context"
	"net/http"

	"clientele/domain"
	"clientele/publisher/ingress/access"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"
)

// client is GET /api/v2/clients/{id}.
func (a *api) client(w http.ResponseWriter, r *http.Request, call access.Call) {
	id, err := domain.ParseID(r.PathValue("id"))
	if err != nil {
		problem.NotFound.Write(w, "there is no client with this id")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	client, err := a.clients.Get(ctx, id)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		problem.NotFound.Write(w, "there is no client with this id")
	case err != nil:
		a.fail(w, r, domain.Errorf(domain.CodeUnavailable, "get client: %w", err))
	default:
		a.disclose(ctx, w, r, call, client)
	}
}

// disclose answers with the record once the read is in the audit trail. A 304 is also a read: it confirms that the record exists and
// what it is.
func (a *api) disclose(ctx context.Context, w http.ResponseWriter, r *http.Request, call access.Call, client domain.Client) {
	record := access.AuditRecord(r, call.Caller, domain.AuditClientRead, domain.AuditSucceeded)
	record.ClientID = client.ID
	switch err := a.audit.Record(ctx, record); {
	case err == nil:
		a.respond(w, r, client.ID, client)
	case !request.HungUp(w, r):
		a.logger.Warn().Err(err).Stringer("id", client.ID).Msg("cannot record a read")
		problem.Unavailable.Write(w, "reads are recorded, and this one cannot be at the moment; nothing was returned; try again later")
	}
}
