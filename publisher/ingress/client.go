package ingress

import (
	"context"
	"net/http"

	"clientele/domain"
)

// client is GET /api/v2/clients/{id}.
func (a *api) client(w http.ResponseWriter, r *http.Request, _ call) {
	id, err := domain.ParseID(r.PathValue("id"))
	if err != nil {
		problemNotFound.write(w, "there is no client with this id")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	client, err := a.clients.Get(ctx, id)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		problemNotFound.write(w, "there is no client with this id")
	case err != nil:
		a.fail(w, r, domain.Errorf(domain.CodeUnavailable, "get client: %w", err))
	default:
		writeJSON(w, http.StatusOK, "application/json", client)
	}
}
