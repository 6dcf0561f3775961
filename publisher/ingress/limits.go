package ingress

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiters limit the request rate of each caller.
type limiters struct {
	rate float64 // requests per second

	mu       sync.Mutex
	byCaller map[string]*rate.Limiter
	swept    time.Time
}

// sweepInterval is how often the limiters of idle callers are dropped. A token bucket that has filled up is the same as a new
// one.
const sweepInterval = time.Minute

func newLimiters(perSecond float64) *limiters {
	return &limiters{rate: perSecond, byCaller: map[string]*rate.Limiter{}, swept: time.Now()}
}

// burst is how many requests an idle caller may send at once.
func (l *limiters) burst() int { return max(1, int(l.rate)) }

// admit counts a request of the caller and reports whether it is within the limit. It sets the headers of
// draft-ietf-httpapi-ratelimit-headers-10.
func (l *limiters) admit(w http.ResponseWriter, caller string) bool {
	now := time.Now()
	limiter := l.limiter(caller, now)
	admitted := limiter.AllowN(now, 1)
	tokens := limiter.TokensAt(now)
	wait := 0 // seconds until the next request is admitted
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
		for name, limiter := range l.byCaller {
			if limiter.TokensAt(now) >= float64(l.burst()) {
				delete(l.byCaller, name)
			}
		}
		l.swept = now
	}
	limiter := l.byCaller[caller]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(l.rate), l.burst())
		l.byCaller[caller] = limiter
	}
	return limiter
}
