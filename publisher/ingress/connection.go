package ingress

import "net/http"

// connectionRules adds the headers that apply to the connection rather than to the resource.
//
// Over TLS, browsers must use TLS from now on (RFC 6797). A connection ends after a request with Transfer-Encoding. net/http removes a
// Content-Length beside it, so a handler cannot refuse the combination. A proxy that goes by the length would take the rest of the body
// for the next request, and a server must not answer that one (request smuggling; RFC 9112, sections 6.1 and 11.2).
func connectionRules(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
