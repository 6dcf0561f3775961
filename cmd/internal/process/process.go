// Package process is the life of a Clientele process, whatever its role: what it starts, what it serves, and the order in
// which it stops.
package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// stopTimeout is how long Stop lets things finish, all together.
const stopTimeout = 20 * time.Second

// Process is a running process. What it starts is stopped in reverse order.
type Process struct {
	Log zerolog.Logger

	fatal   chan error
	waiting atomic.Value // of string: what Await waits for, "" for nothing

	mu    sync.Mutex
	stops []stop
}

type stop struct {
	name string
	run  func(context.Context) error
}

// New returns a process that has started nothing yet.
func New(log zerolog.Logger) *Process { return &Process{Log: log, fatal: make(chan error, 1)} }

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
	p.OnStop(name, func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// Fatal has Wait return: the process cannot go on.
func (p *Process) Fatal(err error) {
	select {
	case p.fatal <- err:
	default: // one reason is enough
	}
}

// Wait returns when the context ends, with nil, or when the process cannot go on.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.fatal:
		return err
	}
}

// Stop stops what was started, last first. After 20 s it tells what is left to give up; a second call does nothing.
func (p *Process) Stop() {
	p.mu.Lock()
	stops := p.stops
	p.stops = nil
	p.mu.Unlock()
	if len(stops) == 0 {
		return
	}
	p.Log.Info().Msg("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, stop := range slices.Backward(stops) {
		if err := stop.run(ctx); err != nil {
			p.Log.Warn().Err(err).Msg("stopping " + stop.name + " was cut short")
		}
	}
}

// Serve answers HTTP on the address until Stop, which lets requests in progress finish. It returns the address with its
// port, where that was left to choose; an error says what to do, and that the address came from this flag.
func (p *Process) Serve(flag, address string, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", ListenError(flag, address, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      45 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          newHTTPLog(p.Log),
	}
	p.Log.Info().Stringer("address", listener.Addr()).Msg("listening for " + flag)
	name := "HTTP on " + listener.Addr().String()
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
	return listener.Addr().String(), nil
}

// ListenError says what to do about an address that cannot be listened on.
func ListenError(flag, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program: stop it, or choose another address with %s", address, flag)
	}
	return fmt.Errorf("cannot listen on %q, give another HOST:PORT with %s: %w", address, flag, err)
}
