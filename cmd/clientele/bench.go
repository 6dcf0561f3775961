package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"syscall"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// benchCmd drives a running Clientele and measures it from outside, as callers and subscribers see it.
type benchCmd struct {
	URL         string        `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The API to drive (${default})."`
	Connections int           `default:"64" placeholder:"N" help:"Connections, each with one request under way at a time (${default})."`
	Rate        float64       `placeholder:"N" help:"Requests a second, sent when they are due whether the ones before are answered or not; as fast as it goes unless given."`
	Duration    time.Duration `default:"10s" help:"How long to send (${default})."`
	Count       int           `placeholder:"N" help:"How many requests to send, instead of --duration."`
	Keys        bool          `help:"Send an Idempotency-Key with each request."`
	Token       string        `placeholder:"TOKEN" help:"API key or token to send. It belongs into the environment: CLIENTELE_TOKEN."`
	JSON        bool          `name:"json" help:"Print the result as JSON."`

	apiTLSFlags   `embed:""`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*benchCmd) Help() string {
	return `Examples:

  # As fast as it goes
  clientele bench --connections 256 --duration 30s

  # At a rate, where a request counts from when it was due
  clientele bench --rate 2000 --duration 60s --keys

The exit status is 1 if anything was lost or came twice.`
}

// Validate is called by the parser.
func (c *benchCmd) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("--url must be like http://127.0.0.1:8080")
	case c.Connections < 1 || c.Connections > 10_000:
		return errors.New("--connections must be from 1 to 10000")
	case c.Rate < 0 || c.Count < 0 || c.Duration <= 0:
		return errors.New("--rate, --count and --duration must be positive")
	}
	return nil
}

// Run measures until the requests are sent and their events are there. It takes clients in for good: never run it on a
// database that is dear to you.
func (c *benchCmd) Run(e env) error {
	certificates, err := c.config()
	if err != nil {
		return err
	}
	ledger := newLedger()
	stop, err := c.follow(e, ledger)
	if err != nil {
		return err
	}
	defer stop()

	ctx, cancel := context.WithCancelCause(e.ctx)
	defer cancel(nil)
	if c.Count == 0 {
		time.AfterFunc(c.Duration, func() { cancel(nil) })
	}
	load := newLoad(c, ledger)
	load.client.TLSConfig, load.fail = certificates, cancel
	before := processorTime()
	began := time.Now()
	stopProgress := c.progress(e.stderr, load, ledger)
	load.run(ctx)
	sent := time.Since(began)
	ledger.settle(e.ctx)
	stopProgress()
	if err := context.Cause(ctx); untrusted(err) {
		return untrustedAPI(err)
	}

	r := c.result(load, ledger, sent, time.Since(began))
	r.ProcessorShare = (processorTime() - before).Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU())
	if err := r.print(e.stdout, c.JSON); err != nil {
		return err
	}
	if e.ctx.Err() != nil {
		return errors.New("interrupted: what was under way is not counted")
	}
	if r.Accepted == 0 {
		return errors.New("no request was accepted, see the answers, and --url")
	}
	if r.Lost > 0 || r.Duplicated > 0 {
		return fmt.Errorf("%d lost, %d duplicated: look at clientele rejections ls, and at the operations", r.Lost, r.Duplicated)
	}
	return nil
}

// follow has the ledger told of every event from now on, by an ordered consumer of the stream: what it does not see was not
// kept.
func (c *benchCmd) follow(e env, ledger *ledger) (stop func(), err error) {
	nc, err := natsFlags(c.operatorFlags).connectNow(e, "subscriber")
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(e.ctx, domain.StreamEvents)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("stream %s: %w", domain.StreamEvents, err)
	}
	consumer, err := js.OrderedConsumer(e.ctx, domain.StreamEvents, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   stream.CachedInfo().State.LastSeq + 1,
		HeadersOnly:   true,
	})
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("follow stream %s: %w", domain.StreamEvents, err)
	}
	events, err := consumer.Consume(func(msg jetstream.Msg) { ledger.event(msg.Headers().Get("ce-subject")) })
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("follow stream %s: %w", domain.StreamEvents, err)
	}
	return func() { events.Stop(); nc.Close() }, nil
}

// progress prints how far it has come, every second on a terminal, every five else, until the function that it returns is
// called.
func (c *benchCmd) progress(w io.Writer, load *load, ledger *ledger) (stop func()) {
	every, end := 5*time.Second, "\n"
	if isTerminal(w) {
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
			fmt.Fprintf(w, "%4.0f s  %8.0f accepted/s  %8.0f completed/s  %8d outstanding  %d refused%s", time.Since(began).Seconds(),
				float64(a-accepted)/every.Seconds(), float64(n-completed)/every.Seconds(), ledger.outstanding.Load(), load.refused.Load(), end)
			accepted, completed = a, n
		}
	}()
	return func() { close(done); <-ended }
}

// processorTime is the time that this process has had the processors for.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
