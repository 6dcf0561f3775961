// Package loadtest sends requests to a running Clientele and measures acceptance and events as callers and subscribers see them.
package loadtest

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"clientele/publisher/reader"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Run sends requests, waits for their events, and returns the measurements. The clients that it creates are permanent. If the
// context ends, Run returns the measurements so far. An error means that the stream of events cannot be followed, or is a
// *RedirectError, a *RefusedError, or a *tls.CertificateVerificationError if the API's certificate cannot be verified.
func Run(ctx context.Context, cfg Config) (Result, error) {
	ledger := NewLedger()
	stop, err := Follow(ctx, cfg.Conn, ledger)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	load, err := NewLoad(cfg, ledger)
	if err != nil {
		return Result{}, err
	}
	sending, cancel := ctx, context.CancelFunc(func() {})
	if cfg.Count == 0 {
		sending, cancel = context.WithTimeout(ctx, cfg.Duration)
	}
	defer cancel()
	before := ProcessorTime()
	began := time.Now()
	stopProgress := progress(cfg, load, ledger)
	err = load.Run(sending)
	sent := time.Since(began)
	if err == nil {
		ledger.wait(ctx)
	}
	stopProgress()
	r := load.Result(sent, time.Since(began))
	r.ProcessorShare = (ProcessorTime() - before).Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU())
	return r, err
}

// Follow records every event published from now on in the ledger, until stop is called. Only events that the stream stores count.
func Follow(ctx context.Context, nc *nats.Conn, ledger *Ledger) (stop func(), err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	events, err := reader.Open(ctx, js, reader.Config{Next: true, HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			msg, err := events.Next(ctx)
			if err != nil {
				return
			}
			ledger.Event(msg.Headers().Get("ce-subject"))
		}
	}()
	return func() { cancel(); <-ended; events.Close() }, nil
}

// progress prints the progress until stop is called.
func progress(cfg Config, load *Load, ledger *Ledger) (stop func()) {
	every, end := 5*time.Second, "\n"
	if cfg.Terminal {
		every, end = time.Second, "\r"
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		began := time.Now()
		var accepted, completed int64
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			a, n := load.accepted.Load(), ledger.completed.Load()
			fmt.Fprintf(cfg.Progress, "%4.0f s  %8.0f accepted/s  %8.0f completed/s  %8d outstanding  %d refused%s", time.Since(began).Seconds(),
				float64(a-accepted)/every.Seconds(), float64(n-completed)/every.Seconds(), ledger.outstanding.Load(), load.refused.Load(), end)
			accepted, completed = a, n
		}
	}()
	return func() { close(done); <-ended }
}

// ProcessorTime returns the processor time that this process has used.
func ProcessorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
