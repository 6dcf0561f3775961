package ingress

import (
	"net/http"

	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// respond answers a GET of the client or operation with this id with a value as JSON and its entity tag, or with 304 if If-None-Match
// has the tag. No cache may store either: a caller that keeps the data decides so itself.
//
// The tag is the same on every ingress. It derives from the secret of the installation, so that the data cannot be guessed from it.
func (a *api) respond(w http.ResponseWriter, r *http.Request, id uuid.UUID, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		problem.Internal.Write(w, "")
		return
	}
	tag := `"` + a.log.KeyedID(id.String(), string(body)).String() + `"`
	w.Header().Set("ETag", tag)
	if request.HasTag(r.Header, tag) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	problem.WriteHeader(w, http.StatusOK, "application/json")
	_, _ = w.Write(body) // an error means that the caller has hung up
}
