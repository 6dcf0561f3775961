package ingress

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"
)

// methods are the handlers of one path. HEAD is handled like GET, and any other method is answered with 405 and Allow. A caller
// that does not accept JSON receives 406.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http omits the body
	}
	handler, ok := m[method]
	if !ok {
		allow := slices.Sorted(maps.Keys(m))
		if _, ok := m[http.MethodGet]; ok {
			allow = append(allow, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		problem.Method.Write(w, "this path supports "+strings.Join(allow, ", "))
		return
	}
	if !request.AcceptsJSON(r.Header) {
		problem.Accept.Write(w, "responses are application/json or application/problem+json")
		return
	}
	handler(w, r)
}
