// Package process manages the life cycle of a Clientele process: it starts and serves its parts and stops them in order.
package process

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// watchInterval is the interval of the checks of Watch.
const watchInterval = time.Second

// Process is a running process. Its parts stop in the reverse order of their start.
type Process struct {
	Log zerolog.Logger
	// Metrics are those that this process measures. Asked are those for which each reading asks a server. Both are served at /metrics.
	Metrics, Asked *prometheus.Registry
	// Traces receives the spans of the process. It is nil unless StartTracing has enabled tracing.
	Traces trace.TracerProvider

	stopTimeout time.Duration
	explain     func(error) error
	shed        *prometheus.CounterVec

	fatal   chan error
	cancel  context.CancelFunc // cancels the context of Run's start function, and so ends Run
	started atomic.Bool
	waiting atomic.Value // of string: what Await waits for, or ""

	mu    sync.Mutex
	stops []stop
}

type stop struct {
	name string
	run  func(context.Context) error
}

// Config configures New.
type Config struct {
	Log zerolog.Logger
	// StopTimeout is the time limit for stopping all parts.
	StopTimeout time.Duration
	// Explain rewrites the errors that are logged and shown by /readyz for an operator. The default is no change.
	Explain func(error) error
}

// New returns a process without parts.
func New(cfg Config) *Process {
	if cfg.Explain == nil {
		cfg.Explain = func(err error) error { return err }
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Process{
		Log: cfg.Log, Metrics: metrics, Asked: prometheus.NewRegistry(), stopTimeout: cfg.StopTimeout, explain: cfg.Explain,
		fatal: make(chan error, 1), cancel: func() {},
		shed: promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "clientele_http_connections_shed_total", Help: "Connections closed at a limit, to make room for others.",
		}, []string{"listener"}),
	}
}

// Explain returns the error as an operator reads it.
func (p *Process) Explain(err error) error { return p.explain(err) }

// Run calls start, waits until the context ends or Fatal or Done is called, and stops the parts. All three also end the context
// of start. The error is that of start, Fatal or Stop. Run returns nil if the context ended, even during the start.
func (p *Process) Run(ctx context.Context, start func(context.Context) error) error {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	p.cancel = cancel
	err := start(running)
	p.started.Store(true)
	if err == nil {
		<-running.Done()
	} else if running.Err() != nil {
		err = nil
	}
	select {
	case err = <-p.fatal:
	default:
	}
	interrupted := errors.Is(context.Cause(ctx), context.Canceled) // any other cause is an error
	if interrupted {
		p.Log.Info().Msg("stopping; a second signal ends the process immediately")
	}
	stopped := p.Stop() //nolint:contextcheck // the context has ended
	if interrupted && stopped == nil {
		p.Log.Info().Msg("stopped")
	}
	return cmp.Or(err, stopped)
}

// OnStop registers a function that Stop calls, before those registered earlier. Its context ends with the stop timeout.
func (p *Process) OnStop(name string, run func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stops = append(p.stops, stop{name, run})
}

// Go runs f in a goroutine. Stop cancels its context and waits for it.
func (p *Process) Go(ctx context.Context, name string, f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	p.OnStop(name, func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// Fatal makes Run stop the process and return the error. Later errors are ignored.
func (p *Process) Fatal(err error) {
	select {
	case p.fatal <- err:
		p.cancel()
	default: // the first error is enough
	}
}

// Starting reports whether the process is still starting.
func (p *Process) Starting() bool { return !p.started.Load() }

// Done makes Run stop the process and return nil.
func (p *Process) Done() { p.cancel() }

// Watch calls check every second. If two consecutive calls return the same error, it is fatal.
func (p *Process) Watch(ctx context.Context, name string, check func() error) {
	p.Go(ctx, "watching "+name, func(ctx context.Context) {
		ticker := time.NewTicker(watchInterval)
		defer ticker.Stop()
		var before error
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			err := check()
			if err != nil && before != nil && err.Error() == before.Error() {
				p.Fatal(err)
				return
			}
			before = err
		}
	})
}

// Stop stops the parts in reverse order. A second call does nothing. After the timeout, Stop returns a *StopTimeoutError at once and
// does not stop the remaining parts: the process must end. That is safe, like kill -9, but the next start takes longer.
func (p *Process) Stop() error {
	p.mu.Lock()
	stops := p.stops
	p.stops = nil
	p.mu.Unlock()
	if len(stops) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.stopTimeout)
	defer cancel()
	for _, stop := range slices.Backward(stops) {
		done := make(chan error, 1)
		go func() { done <- stop.run(ctx) }()
		var err error
		select {
		case err = <-done:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return &StopTimeoutError{Name: stop.name, Timeout: p.stopTimeout}
		}
		if err != nil {
			p.Log.Warn().Err(err).Msg("stopping " + stop.name)
		}
	}
	return nil
}

// StopTimeoutError means that a part did not stop in time.
type StopTimeoutError struct {
	Name    string
	Timeout time.Duration
}

func (e *StopTimeoutError) Error() string {
	return fmt.Sprintf("stopping %s took longer than %s: unfinished work resumes in another process or after a restart", e.Name, e.Timeout)
}

// HTTP configures a server.
type HTTP struct {
	Name    string // for the log
	Address string // HOST:PORT; with port 0, a free one is chosen
	Handler http.Handler
	TLS     *tls.Config // nil for plain HTTP
	// MaxConnections is the maximum number of open connections; 0 means no limit. Further ones replace those without a request in
	// progress, or wait.
	MaxConnections int
	// MaxConnectionsPerAddress is the maximum number of one remote address; 0 means no limit. Further ones replace those of the
	// address without a request in progress, or are closed.
	MaxConnectionsPerAddress int
	// OnShutdown, if not nil, is called when Stop begins to wait for requests.
	OnShutdown func()
	// Requests, if not nil, is the context that those of all requests derive from.
	Requests context.Context //nolint:containedctx // as http.Server.BaseContext
}

// Serve serves HTTP until Stop, which waits for requests in progress. It returns the address with its actual port. An error is
// that of net.Listen.
func (p *Process) Serve(h HTTP) (string, error) {
	socket, err := net.Listen("tcp", h.Address)
	if err != nil {
		return "", err
	}
	address := socket.Addr().String()
	limited := limitConnections(socket, h.MaxConnections, h.MaxConnectionsPerAddress, p.shed.WithLabelValues(h.Name))
	var listener net.Listener = limited
	if h.TLS != nil {
		listener = tls.NewListener(listener, h.TLS)
	}
	server := &http.Server{
		Handler:           h.Handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      45 * time.Second,
		IdleTimeout:       30 * time.Second,
		ConnState:         limited.state,
		MaxHeaderBytes:    16 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
			// Limits on data not read yet: bodies are read after authentication.
			MaxReceiveBufferPerStream:     64 << 10,
			MaxReceiveBufferPerConnection: 256 << 10,
		},
		ErrorLog: newHTTPLog(p.Log),
	}
	if h.OnShutdown != nil {
		server.RegisterOnShutdown(h.OnShutdown)
	}
	if h.Requests != nil {
		server.BaseContext = func(net.Listener) context.Context { return h.Requests }
	}
	p.Log.Info().Bool("tls", h.TLS != nil).Str("address", address).Msg("serving the " + h.Name)
	name := "HTTP on " + address
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.Fatal(fmt.Errorf("%s: %w", name, err))
		}
	}()
	p.OnStop(name, func(ctx context.Context) error {
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
			return err
		}
		return nil
	})
	return address, nil
}
