package ingress

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"clientele/publisher/ingress/auth"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// guard lets a request through to its handler if its caller may make it, and not too many at once.
type guard struct {
	authenticator auth.Authenticator
	limits        *limiters     // nil for no limit
	slots         chan struct{} // nil for no limit
	logger        zerolog.Logger
}

// call is what the middleware knows about a request that it lets through.
type call struct {
	caller auth.Caller
	// releaseSlot lets another request use this one's slot. A handler that only waits calls it; a second call does nothing.
	releaseSlot func()
}

// handlerFunc handles a request that the middleware lets through.
type handlerFunc func(http.ResponseWriter, *http.Request, call)

// allow returns a handler for callers that have one of the scopes. The handler reads the body after these checks, so a caller
// that may not send one cannot occupy memory with it.
func (g guard) allow(handler handlerFunc, oneOf ...auth.Scope) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, ok := g.authenticate(w, r)
		if !ok {
			return
		}
		if !caller.May(oneOf...) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="clientele", error="insufficient_scope", scope="`+string(oneOf[0])+`"`)
			problemForbidden.write(w, "this requires the scope "+string(oneOf[0]))
			return
		}
		if g.limits != nil && !g.limits.admit(w, caller.Name) {
			problemTooMany.write(w, problemTooMany.Detail)
			return
		}
		releaseSlot, ok := g.acquireSlot()
		if !ok {
			problemBusy.write(w, problemBusy.Detail)
			return
		}
		defer releaseSlot()
		handler(w, r, call{caller, releaseSlot})
	}
}

// acquireSlot returns false if too many requests are in progress. You may call releaseSlot more than once.
func (g guard) acquireSlot() (releaseSlot func(), ok bool) {
	if g.slots == nil {
		return func() {}, true
	}
	select {
	case g.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-g.slots }), true
	default:
		return nil, false
	}
}

// authenticate returns the caller, or answers the request (RFC 6750, section 3) and returns false.
func (g guard) authenticate(w http.ResponseWriter, r *http.Request) (auth.Caller, bool) {
	token, err := bearerToken(r.Header)
	var caller auth.Caller
	if err == nil {
		caller, err = g.authenticator.Authenticate(r.Context(), token)
	}
	switch {
	case err == nil:
		return caller, true
	case errors.Is(err, auth.ErrInvalidToken):
		challenge := `Bearer realm="clientele"`
		if token != "" {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		problemUnauthorized.write(w, problemUnauthorized.Detail)
	case hungUp(w, r):
	default:
		g.logger.Warn().Err(err).Msg("cannot authenticate callers")
		problemUnavailable.write(w, "callers cannot be authenticated now; nothing was changed; try again later")
	}
	return auth.Caller{}, false
}

// maxToken is the most bytes of a token: more than any API key, and than the JSON Web Tokens that fit into headers.
const maxToken = 8 << 10

// bearerToken returns the token of a request (RFC 6750, section 2.1), "" if it has none.
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

// limiters bound what each caller sends.
type limiters struct {
	rate float64 // requests a second; as many may come at once after a while without any

	mu    sync.Mutex
	of    map[string]*rate.Limiter
	swept time.Time
}

// sweepInterval is how often the limiters of callers that are gone are forgotten. A token bucket that had time to fill is as
// good as a new one.
const sweepInterval = time.Minute

func newLimiters(perSecond float64) *limiters {
	return &limiters{rate: perSecond, of: map[string]*rate.Limiter{}, swept: time.Now()}
}

// burst is how many requests of one caller may come at once.
func (l *limiters) burst() int { return max(1, int(l.rate)) }

// admit takes a request of the caller into account, and says whether it may go on. The headers are those of
// draft-ietf-httpapi-ratelimit-headers-10.
func (l *limiters) admit(w http.ResponseWriter, caller string) bool {
	now := time.Now()
	limiter := l.limiter(caller, now)
	admitted := limiter.AllowN(now, 1)
	tokens := limiter.TokensAt(now)
	wait := 0 // seconds until the next one
	if tokens < 1 {
		wait = int(math.Ceil((1 - tokens) / l.rate))
	}
	w.Header().Set("Ratelimit-Policy", `"caller";q=`+strconv.Itoa(l.burst())+`;w=`+strconv.Itoa(max(1, int(math.Ceil(1/l.rate)))))
	w.Header().Set("Ratelimit", `"caller";r=`+strconv.Itoa(max(0, int(tokens)))+`;t=`+strconv.Itoa(max(1, wait)))
	if !admitted {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, wait)))
	}
	return admitted
}

func (l *limiters) limiter(caller string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > sweepInterval {
		for name, limiter := range l.of {
			if limiter.TokensAt(now) >= float64(l.burst()) {
				delete(l.of, name)
			}
		}
		l.swept = now
	}
	limiter := l.of[caller]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(l.rate), l.burst())
		l.of[caller] = limiter
	}
	return limiter
}
