// Package ingress is the HTTP API. It answers 202 to a create-client request once the command is on disk, and serves the outcome.
package ingress

import (
	"cmp"
	"net/http"

	"clientele/publisher/ingress/access"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/site"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Config configures NewHandler.
type Config struct {
	Authenticator auth.Authenticator
	// RatePerCaller is how many requests per second a caller may send; 0 means no limit.
	RatePerCaller float64
	// MaxRequests is how many requests may be in progress at once, not counting those that wait for an outcome; 0 means no
	// limit.
	MaxRequests int
	// MaxWaiting is how many requests may wait for an outcome at once; further ones are answered at once, as if they did not prefer
	// to wait. 0 means no limit.
	MaxWaiting int
	// Full reports whether the disk of the log has no room for new commands, which then receive 503; nil means that it always has.
	Full func() bool
	// AllowHost reports whether the API answers requests with this Host header; nil allows every host.
	AllowHost func(host string) bool
	// Audit records reads and refusals; nil records nothing, for tests.
	Audit  Audit
	Logger zerolog.Logger
	// Stopping is closed when requests must stop waiting, or nil.
	Stopping <-chan struct{}
	// Metrics is where the handler registers its metrics, or nil.
	Metrics prometheus.Registerer
	// Traces records a span for each request; nil means none.
	Traces trace.TracerProvider
}

// NewHandler returns the handler of the API.
func NewHandler(log Log, clients Clients, cfg Config) http.Handler {
	cfg.Audit = cmp.Or[Audit](cfg.Audit, noAudit{})
	a := &api{
		log: log, clients: clients, audit: cfg.Audit, logger: cfg.Logger, waiting: newWaiting(cfg.MaxWaiting, cfg.Metrics), stopping: cfg.Stopping,
		full:  cfg.Full,
		lines: newLineCounter(cfg.Metrics),
	}
	m := access.New(access.Config{
		Authenticator: cfg.Authenticator, RatePerCaller: cfg.RatePerCaller, MaxRequests: cfg.MaxRequests, AllowHost: cfg.AllowHost,
		Audit: cfg.Audit, Logger: cfg.Logger, Metrics: cfg.Metrics,
	})
	mux := http.NewServeMux()
	duration := promauto.With(cfg.Metrics).NewHistogramVec(prometheus.HistogramOpts{
		Name: "clientele_http_request_duration_seconds", Help: "Time from request to response, including the wait that the caller requested with Prefer.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
	}, []string{"route", "method", "code"})
	var tracer trace.Tracer
	if cfg.Traces != nil {
		tracer = cfg.Traces.Tracer("clientele/publisher/ingress")
	}
	handle := func(route string, handler http.Handler) {
		handler = connectionRules(m.Guard(handler))
		handler = promhttp.InstrumentHandlerDuration(duration.MustCurryWith(prometheus.Labels{"route": route}), handler)
		mux.Handle(route, traced(tracer, route, handler))
	}
	handle("/api/v2/clients", methods{http.MethodPost: m.Allow(1, a.create, auth.ScopeWrite)})
	handle("/api/v2/clients/batch", methods{http.MethodPost: m.Allow(batchSlots, a.batch, auth.ScopeWrite)})
	handle("/api/v2/clients/{id}", methods{http.MethodGet: m.Allow(1, a.client, auth.ScopeRead)})
	handle("/api/v2/operations", methods{http.MethodGet: m.Allow(1, a.listOperations, auth.ScopeWrite, auth.ScopeRead)})
	// A caller that creates clients may also see the outcomes, see lookUp.
	handle("/api/v2/operations/{id}", methods{http.MethodGet: m.Allow(1, a.getOperation, auth.ScopeRead, auth.ScopeWrite)})
	handle("GET /problems/", http.HandlerFunc(problems))
	site.Serve(handle)
	handle("/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.NotFound.Write(w, "there is no resource at this path")
	}))
	return mux
}
