package process

import (
	"context"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout bounds all checks of a process together.
const checkTimeout = 2 * time.Second

// Check checks a dependency of a process.
type Check struct {
	Name string
	// Optional is true if the process can do its work without the dependency for a while.
	Optional bool
	// Probe returns nil when the dependency is available.
	Probe func(context.Context) error
}

// Admin serves /livez, /readyz and /metrics, and on request /debug/pprof.
type Admin struct {
	process *Process

	mu     sync.Mutex
	ready  bool
	checks []Check
}

// NewAdmin returns an Admin for the process, which is not ready before Start.
func NewAdmin(p *Process) *Admin {
	a := &Admin{process: p}
	promauto.With(p.Asked).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "clientele_ready", Help: "1 if the process is ready, or 0; /readyz has the reason.",
	}, func() float64 {
		if a.report(context.Background()).Ready {
			return 1
		}
		return 0
	})
	return a
}

// Start makes the process ready while all checks that are not optional succeed, until it stops.
func (a *Admin) Start(checks []Check) {
	a.set(true, checks)
	a.process.OnStop("readiness", func(context.Context) error { a.set(false, nil); return nil })
}

func (a *Admin) set(ready bool, checks []Check) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready, a.checks = ready, checks
}

// AdminConfig configures the handler of an Admin.
type AdminConfig struct {
	// AllowHost reports whether requests with this Host header are answered.
	AllowHost func(host string) bool
	// Profiles serves /debug/pprof.
	Profiles bool
}

// Handler returns the handler of the admin listener.
func (a *Admin) Handler(cfg AdminConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("alive\n"))
	})
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{a.process.Metrics, a.process.Asked}, promhttp.HandlerOpts{
		Registry: a.process.Metrics, EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}))
	if cfg.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !cfg.AllowHost(r.Host) {
			http.Error(w, "the admin endpoints do not answer requests for this host", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// report is the response body of /readyz.
type report struct {
	Ready bool `json:"ready"`
	// Missing are the reasons why the process is not ready. Degraded are the failures of optional dependencies.
	Missing  []string `json:"missing"`
	Degraded []string `json:"degraded"`
}

// Ready reports whether the process is ready. The reasons say why not, and which optional dependencies fail.
func (a *Admin) Ready(ctx context.Context) (ready bool, reasons []string) {
	r := a.report(ctx)
	return r.Ready, slices.Concat(r.Missing, r.Degraded)
}

// readyz responds with 200 if the process is ready, or else with 503, and with the report.
func (a *Admin) readyz(w http.ResponseWriter, r *http.Request) {
	report := a.report(r.Context())
	body, err := json.Marshal(report)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !report.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n'))
}

func (a *Admin) report(ctx context.Context) report {
	a.mu.Lock()
	ready, checks := a.ready, a.checks
	a.mu.Unlock()
	if !ready {
		if waiting, _ := a.process.waiting.Load().(string); waiting != "" {
			return report{Missing: []string{waiting}}
		}
		return report{Missing: []string{"the process is starting or stopping"}}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { errs[i] = check.Probe(ctx) })
	}
	wg.Wait()
	var r report
	for i, err := range errs {
		if err == nil {
			continue
		}
		reason := checks[i].Name + ": " + a.process.explain(err).Error()
		if checks[i].Optional {
			r.Degraded = append(r.Degraded, reason)
		} else {
			r.Missing = append(r.Missing, reason)
		}
	}
	r.Ready = len(r.Missing) == 0
	return r
}
