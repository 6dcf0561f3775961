// Package access decides which requests reach their handlers: by their origin, token and scope, the rate limit of their caller, and the
// number of requests in progress. It counts, logs and records the others.
package access

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Config configures New.
type Config struct {
	Authenticator auth.Authenticator
	// RatePerCaller is how many requests per second a caller may send; 0 means no limit.
	RatePerCaller float64
	// MaxRequests is how many slots there are for requests in progress, see Allow; 0 means no limit.
	MaxRequests int
	// AllowHost reports whether requests with this Host header are answered; nil allows every host.
	AllowHost func(host string) bool
	Audit     Audit
	Logger    zerolog.Logger
	// Metrics is where the middleware registers its metrics, or nil.
	Metrics prometheus.Registerer
}

// Middleware passes a request to its handler if the caller is allowed to make it and no limit is reached.
type Middleware struct {
	authenticator auth.Authenticator
	limits        *limiters     // nil for no limit
	slots         chan struct{} // nil for no limit
	allowHost     func(host string) bool
	refusals      *refusals
}

// New returns the middleware of one API.
func New(cfg Config) Middleware {
	m := Middleware{
		authenticator: cfg.Authenticator, allowHost: cfg.AllowHost, refusals: newRefusals(cfg.Audit, cfg.Logger, cfg.Metrics),
	}
	if cfg.RatePerCaller > 0 {
		m.limits = newLimiters(cfg.RatePerCaller)
	}
	if cfg.MaxRequests > 0 {
		m.slots = make(chan struct{}, cfg.MaxRequests)
	}
	return m
}

// Call has what the middleware knows about a request that it passes on.
type Call struct {
	Caller auth.Caller
	// ReleaseSlot lets another request use this one's slot. Call it before you wait. A second call does nothing.
	ReleaseSlot func()
	// Admit counts a further client of this request against the rate limit of the caller. If it exceeds the limit, Admit returns false
	// and the problem.
	Admit func() (problem.Document, bool)
}

// Handler handles a request that the middleware passes on.
type Handler func(http.ResponseWriter, *http.Request, Call)

// Allow returns a handler for callers that have one of the scopes. The handler reads the body after these checks, so a caller
// that may not send one cannot occupy memory with it. The request occupies this many slots: one for each 64 KiB that it may read ahead.
func (m Middleware) Allow(slots int, handler Handler, oneOf ...auth.Scope) http.HandlerFunc {
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
		if p, ok := m.admit(w.Header(), r, caller); !ok {
			p.Write(w)
			return
		}
		releaseSlot, ok := m.acquire(slots)
		if !ok {
			problem.Busy.Write(w, "")
			return
		}
		defer releaseSlot()
		handler(w, r, Call{caller, releaseSlot, func() (problem.Document, bool) { return m.admit(nil, r, caller) }})
	}
}

// admit counts a request against the rate limit of its caller. If it exceeds the limit, admit returns false and the problem. It sets the
// headers that tell what is left, unless header is nil.
func (m Middleware) admit(header http.Header, r *http.Request, caller auth.Caller) (problem.Document, bool) {
	if m.limits == nil {
		return problem.Document{}, true
	}
	quota := m.limits.admit(caller.Name)
	if header != nil {
		m.limits.setHeaders(header, quota)
	}
	if quota.admitted {
		return problem.Document{}, true
	}
	m.refusals.add(r, caller, reasonRate, nil)
	p := problem.TooMany.Document()
	p.RetryAfter = quota.wait
	return p, false
}

// acquire returns false if too many requests are in progress. Otherwise call release in the end. A second call does nothing.
func (m Middleware) acquire(slots int) (release func(), ok bool) {
	slots = min(slots, cap(m.slots)) // 0 without a limit
	acquired := 0
	release = sync.OnceFunc(func() {
		for range acquired {
			<-m.slots
		}
	})
	for ; acquired < slots; acquired++ {
		select {
		case m.slots <- struct{}{}:
		default:
			release()
			return nil, false
		}
	}
	return release, true
}

// authenticate returns the caller. If it cannot, it answers the request (RFC 6750, section 3) and returns false.
func (m Middleware) authenticate(w http.ResponseWriter, r *http.Request) (auth.Caller, bool) {
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
	case request.HungUp(w, r):
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
