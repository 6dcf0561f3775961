package access

import (
	"net/http"
	"sync/atomic"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/auth"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// reason is why a request was refused, as metrics and logs name it.
type reason string

const (
	reasonNoToken      reason = "no_token"
	reasonInvalidToken reason = "invalid_token"
	reasonScope        reason = "insufficient_scope"
	reasonRate         reason = "rate_limited"
	reasonCrossOrigin  reason = "cross_origin"
	// reasonUnavailable means that the token could not be checked.
	reasonUnavailable reason = "unavailable"
)

// refusalInterval is the minimum interval of log lines of one reason, so that an attacker cannot fill the log.
const refusalInterval = time.Second

// Audit records refused requests.
type Audit interface {
	// Collect records without waiting. Equal records become one with their count.
	Collect(record domain.AuditRecord)
}

// refusals count refused requests, log and record them.
type refusals struct {
	audit  Audit
	logger zerolog.Logger
	of     map[reason]*refusal
}

// refusal has the refused requests of one reason.
type refusal struct {
	total    prometheus.Counter
	unlogged atomic.Int64
	line     rate.Sometimes
}

func newRefusals(audit Audit, logger zerolog.Logger, metrics prometheus.Registerer) *refusals {
	total := promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "clientele_http_refusals_total", Help: "Requests that were refused because of their token, their origin or a rate limit, by reason.",
	}, []string{"reason"})
	r := &refusals{audit: audit, logger: logger, of: map[reason]*refusal{}}
	for _, reason := range []reason{reasonNoToken, reasonInvalidToken, reasonScope, reasonRate, reasonCrossOrigin, reasonUnavailable} {
		r.of[reason] = &refusal{total: total.WithLabelValues(string(reason)), line: rate.Sometimes{Interval: refusalInterval}}
	}
	return r
}

// add counts a refused request. It logs at most one line per interval and reason, with the number of requests since the previous line.
// err is the cause, or nil. The caller is zero if it is unknown.
func (r *refusals) add(request *http.Request, caller auth.Caller, reason reason, err error) {
	r.audit.Collect(AuditRecord(request, caller, domain.AuditRefused, domain.AuditResult(reason)))
	refusal := r.of[reason]
	refusal.total.Inc()
	refusal.unlogged.Add(1)
	refusal.line.Do(func() {
		r.logger.Warn().Err(err).Str("reason", string(reason)).Int64("count", refusal.unlogged.Swap(0)).Msg("refused requests")
	})
}
