package ingress

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"
)

// middleware passes a request to its handler if the caller is allowed to make it and no limit is reached.
type middleware struct {
	authenticator auth.Authenticator
	limits        *limiters     // nil for no limit
	slots         chan struct{} // nil for no limit
	refusals      *refusals
}

// call has what the middleware knows about a request that it passes on.
type call struct {
	caller auth.Caller
	// releaseSlot lets another request use this one's slot. Call it before you wait. A second call does nothing.
	releaseSlot func()
}

// handlerFunc handles a request that the middleware passes on.
type handlerFunc func(http.ResponseWriter, *http.Request, call)

// allow returns a handler for callers that have one of the scopes. The handler reads the body after these checks, so a caller
// that may not send one cannot occupy memory with it.
func (m middleware) allow(handler handlerFunc, oneOf ...auth.Scope) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, ok := m.authenticate(w, r)
		if !ok {
			return
		}
		if !caller.May(oneOf...) {
			m.refusals.add(r, caller, reasonScope, nil)
			w.Header().Set("WWW-Authenticate", `Bearer realm="clientele", error="insufficient_scope", scope="`+string(oneOf[0])+`"`)
			problem.Forbidden.Write(w, "this request requires the scope "+string(oneOf[0]))
			return
		}
		if m.limits != nil && !m.limits.admit(w, caller.Name) {
			m.refusals.add(r, caller, reasonRate, nil)
			problem.TooMany.Write(w, "")
			return
		}
		releaseSlot, ok := m.acquireSlot()
		if !ok {
			problem.Busy.Write(w, "")
			return
		}
		defer releaseSlot()
		handler(w, r, call{caller, releaseSlot})
	}
}

// acquireSlot returns false if too many requests are in progress. Otherwise call releaseSlot in the end. A second call does nothing.
func (m middleware) acquireSlot() (releaseSlot func(), ok bool) {
	if m.slots == nil {
		return func() {}, true
	}
	select {
	case m.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-m.slots }), true
	default:
		return nil, false
	}
}

// authenticate returns the caller. If it cannot, it answers the request (RFC 6750, section 3) and returns false.
func (m middleware) authenticate(w http.ResponseWriter, r *http.Request) (auth.Caller, bool) {
	token, err := bearerToken(r.Header)
	var caller auth.Caller
	if err == nil {
		caller, err = m.authenticator.Authenticate(r.Context(), token)
	}
	switch {
	case err == nil:
		return caller, true
	case errors.Is(err, auth.ErrInvalidToken):
		challenge, reason := `Bearer realm="clientele"`, reasonNoToken
		if token != "" {
			challenge += `, error="invalid_token"`
			reason = reasonInvalidToken
		}
		m.refusals.add(r, caller, reason, nil)
		w.Header().Set("WWW-Authenticate", challenge)
		problem.Unauthorized.Write(w, "")
	case hungUp(w, r):
	default:
		m.refusals.add(r, caller, reasonUnavailable, err)
		problem.Unavailable.Write(w, "the service cannot authenticate callers at the moment; nothing was changed; try again later")
	}
	return auth.Caller{}, false
}

// maxToken is the maximum length of a token in bytes. API keys and the JSON Web Tokens that fit into headers are shorter.
const maxToken = 8 << 10

// bearerToken returns the token of a request (RFC 6750, section 2.1), or "" if it has none.
func bearerToken(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return "", auth.ErrInvalidToken
	}
	return token, nil
}
