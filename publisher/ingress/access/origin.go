package access

import (
	"net/http"

	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"
)

// Guard protects against web pages of other sites, which reach the API through the browser of somebody who can.
//
// A page can have its own name resolve to the address of the API (DNS rebinding) and then read responses as those of its own site.
// Such a request has the name of the page as its Host, so allowHost refuses it. A page can also send a request across origins
// without reading the response; http.CrossOriginProtection refuses it by its Sec-Fetch-Site and Origin headers. Programs send
// neither header.
func (m Middleware) Guard(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.refusals.add(r, auth.Caller{}, reasonCrossOrigin, nil)
		problem.CrossOrigin.Write(w, "")
	}))
	next = protection.Handler(next)
	if m.allowHost == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !m.allowHost(r.Host) {
			problem.Misdirected.Write(w, "")
			return
		}
		next.ServeHTTP(w, r)
	})
}
