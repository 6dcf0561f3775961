// Package process is the life of a Clientele process, whatever its role: what it starts, what it serves, and the order in
// which it stops.
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
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/netutil"
)

// watchInterval is how often Watch looks.
const watchInterval = time.Second

// Process is a running process. What it starts is stopped in reverse order.
type Process struct {
	Log zerolog.Logger
	// Metrics are what /metrics shows.
	Metrics *prometheus.Registry
	// Traces take the spans of what the process does. It is nil while nobody asks for them.
	Traces trace.TracerProvider

	stopTimeout time.Duration

	fatal   chan error
	giveUp  context.CancelFunc // ends the start, if it is still under way
	started atomic.Bool
	waiting atomic.Value // of string: what Await waits for, "" for nothing

	mu    sync.Mutex
	stops []stop
}

type stop struct {
	name string
	run  func(context.Context) error
}

// New returns a process that has started nothing yet. stopTimeout is how long Stop lets things finish, all together.
func New(log zerolog.Logger, stopTimeout time.Duration) *Process {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Process{Log: log, Metrics: metrics, stopTimeout: stopTimeout, fatal: make(chan error, 1), giveUp: func() {}}
}

// Run starts the process, goes on until the context ends or something is fatal, and stops what was started. Either also
// ends the context of start. That the context ended, be it in the middle of the start, is no error.
func (p *Process) Run(ctx context.Context, start func(context.Context) error) error {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	p.giveUp = cancel
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
	if ctx.Err() != nil {
		p.Log.Info().Msg("stopping; a second signal ends at once")
	}
	return cmp.Or(err, p.Stop()) //nolint:contextcheck // the context has ended: that is why it stops
}

// OnStop has Stop call run, before what was registered earlier. Its context ends when the time to stop is over.
func (p *Process) OnStop(name string, run func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stops = append(p.stops, stop{name, run})
}

// Go runs f in the background until Stop ends its context, and has Stop wait for it.
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

// Fatal has Run stop and return the error: the process cannot go on.
func (p *Process) Fatal(err error) {
	select {
	case p.fatal <- err:
		p.giveUp()
	default: // one reason is enough
	}
}

// Starting reports whether the start is still under way.
func (p *Process) Starting() bool { return !p.started.Load() }

// Done has Run stop without an error: there is nothing more to do.
func (p *Process) Done() { p.giveUp() }

// Watch looks every second whether the process can go on. An error is fatal when the next look finds it again.
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

// Stop stops what was started, last first; a second call does nothing. Past the time for stopping it returns an error at
// once and leaves the rest as it is, for the process to end. That costs what kill -9 would: nothing but time.
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

// StopTimeoutError means that Stop gave up waiting for one of the things to stop.
type StopTimeoutError struct {
	Name    string
	Timeout time.Duration
}

func (e *StopTimeoutError) Error() string {
	return fmt.Sprintf("stopping %s took longer than %s: unfinished work resumes in another process or after a restart", e.Name, e.Timeout)
}

// HTTP configures a server.
type HTTP struct {
	// Name is what the log calls the listener.
	Name    string
	Address string // HOST:PORT; with port 0, a free one is chosen
	Handler http.Handler
	TLS     *tls.Config // nil for plain HTTP
	// MaxConnections is how many callers may be connected at once, 0 for any number. More of them wait to be let in.
	MaxConnections int
	// OnShutdown is called when Stop begins to wait for requests, unless it is nil.
	OnShutdown func()
}

// Serve answers HTTP until Stop, which lets requests in progress finish. It returns the address with its actual port. The
// error is that of net.Listen.
func (p *Process) Serve(h HTTP) (string, error) {
	listener, err := net.Listen("tcp", h.Address)
	if err != nil {
		return "", err
	}
	address := listener.Addr().String()
	if h.MaxConnections > 0 {
		listener = netutil.LimitListener(listener, h.MaxConnections)
	}
	if h.TLS != nil {
		listener = tls.NewListener(listener, h.TLS)
	}
	server := &http.Server{
		Handler:           h.Handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      45 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
			// What is received and not read yet: a body is read after its caller is known.
			MaxReceiveBufferPerStream:     64 << 10,
			MaxReceiveBufferPerConnection: 256 << 10,
		},
		ErrorLog: newHTTPLog(p.Log),
	}
	if h.OnShutdown != nil {
		server.RegisterOnShutdown(h.OnShutdown)
	}
	p.Log.Info().Bool("tls", h.TLS != nil).Str("address", address).Msg("listening for " + h.Name)
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
