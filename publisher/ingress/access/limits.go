package access

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

// quota is what is left of a caller's limit.
type quota struct {
	admitted bool // the request that was counted last
	left     int  // requests
	wait     int  // seconds until the next request is admitted, at least 1
}

// admit counts a request of the caller.
func (l *limiters) admit(caller string) quota {
	now := time.Now()
	limiter := l.limiter(caller, now)
	admitted := limiter.AllowN(now, 1)
	tokens := limiter.TokensAt(now)
	return quota{admitted, max(0, int(tokens)), max(1, int(math.Ceil((1-tokens)/l.rate)))}
}

// setHeaders sets the headers of draft-ietf-httpapi-ratelimit-headers-10.
func (l *limiters) setHeaders(header http.Header, q quota) {
	header.Set("Ratelimit-Policy", `"caller";q=`+strconv.Itoa(l.burst())+`;w=`+strconv.Itoa(max(1, int(math.Ceil(1/l.rate)))))
	header.Set("Ratelimit", `"caller";r=`+strconv.Itoa(q.left)+`;t=`+strconv.Itoa(q.wait))
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
