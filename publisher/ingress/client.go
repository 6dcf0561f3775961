package ingress

import (
	"context"
	"net/http"

	"clientele/domain"
)

// client is GET /api/v2/clients/{id}.
func (in *api) client(w http.ResponseWriter, r *http.Request, _ call) {
	id, err := domain.ParseID(r.PathValue("id"))
	if err != nil {
		problemNotFound.write(w, "there is no client with this id")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	client, err := in.clients.Get(ctx, id)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		problemNotFound.write(w, "there is no client with this id")
	case err != nil:
		in.fail(w, r, domain.Errorf(domain.CodeUnavailable, "get client: %w", err))
	default:
		writeJSON(w, http.StatusOK, "application/json", client)
	}
}
