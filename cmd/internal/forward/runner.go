package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"clientele/cmd/internal/webhook"
	"clientele/publisher/endpoint"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// runner delivers to one endpoint with settings that do not change.
type runner struct {
	*deliverer

	endpoint endpoint.Endpoint
	breaker  webhook.Breaker
	observer observer
	stop     context.CancelFunc
	done     chan struct{}
}

// start starts to deliver, beyond the end of the context. The caller stops the runner, and d.tasks waits for it.
func start(parent context.Context, d *deliverer, e endpoint.Endpoint) *runner {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	r := &runner{deliverer: d, endpoint: e, stop: cancel, done: make(chan struct{})}
	d.tasks.Go(func() {
		defer close(r.done)
		defer cancel()
		// An endpoint that is removed loses its consumer first. It is stopped during the pause, and nothing is wrong.
		if err := r.run(ctx); err != nil && pause(ctx, restartPause) {
			d.cfg.Log.Warn().Err(d.cfg.Explain(err)).Str("webhook", e.Name).Msg("cannot receive the events of a webhook; trying again")
		}
	})
	return r
}

// restartPause is the pause before a runner that failed is replaced.
const restartPause = 5 * time.Second

// ended reports whether the runner has ended without stop.
func (r *runner) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// run delivers until the context ends, or until it cannot receive events.
func (r *runner) run(ctx context.Context) error {
	consumer, err := r.consumer(ctx)
	if err != nil {
		return err
	}
	r.cfg.Log.Info().Str("webhook", r.endpoint.Name).Msg("delivering events")
	var position sync.WaitGroup
	defer position.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	position.Go(func() {
		subscription.SavePositions(ctx, r.js, r.endpoint.Name, func(err error) {
			if _, missing := errors.AsType[*subscription.MissingError](err); missing {
				return // r.consume reports it, unless the endpoint was removed
			}
			r.cfg.Log.Warn().Err(r.cfg.Explain(err)).Str("webhook", r.endpoint.Name).Msg("cannot record the position")
		})
	})
	for ctx.Err() == nil {
		if err := r.consume(ctx, consumer); err != nil {
			return err
		}
		r.probe(ctx, consumer)
	}
	return nil
}

// consumer returns the durable consumer. If it is missing and the NATS user may create consumers, it continues where it was.
func (r *runner) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	e := r.endpoint
	consumer, err := subscription.Open(ctx, r.js, e.Name)
	if _, missing := errors.AsType[*subscription.MissingError](err); !missing {
		return consumer, err
	}
	consumer, err = subscription.Create(ctx, r.js, subscription.Config{Name: e.Name, Subjects: e.Subjects, IDOnly: e.IDOnly})
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, fmt.Errorf("its consumer is missing: run clientele webhooks resume %s", e.Name)
	}
	return consumer, err
}

// consume delivers events at once, until the context ends or the breaker opens. Events that it has received and not tried go back when it
// receives no more: earlier, the server would deliver them here again and again, and count that as attempts.
func (r *runner) consume(parent context.Context, consumer jetstream.Consumer) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	msgs, err := consumer.Messages(jetstream.PullMaxMessages(r.endpoint.InFlight))
	if err != nil {
		return fmt.Errorf("receive events: %w", err)
	}
	var untried []jetstream.Msg
	defer func() {
		for _, msg := range untried {
			_ = msg.Nak()
		}
	}()
	defer msgs.Stop()
	defer context.AfterFunc(ctx, msgs.Drain)()
	var attempts sync.WaitGroup
	defer attempts.Wait()
	slots := make(chan struct{}, r.endpoint.InFlight)
	for {
		msg, err := msgs.Next()
		if ctx.Err() != nil && err != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive events: %w", err)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			untried = append(untried, msg)
			continue
		}
		attempts.Go(func() { //nolint:contextcheck // an attempt outlives the signal to stop
			defer func() { <-slots }()
			if r.attempt(msg, 1) {
				cancel()
			}
		})
	}
}

// probeWait is how long a probe waits for an event.
const probeWait = time.Second

// probePatience is how many pauses between probes an event waits that was a probe: so the next probe is another event, if there is one.
// One that always fails does not keep the breaker open.
const probePatience = 4

// probe delivers single events with growing pauses, until one succeeds or the context ends.
func (r *runner) probe(ctx context.Context, consumer jetstream.Consumer) {
	if !r.breaker.Open() {
		return
	}
	if ctx.Err() == nil {
		r.cfg.Log.Warn().Str("webhook", r.endpoint.Name).Str("error", r.observer.get().lastError).
			Msg("a webhook fails: only single events are tried, until one succeeds")
	}
	for probes := uint64(1); r.breaker.Open() && pause(ctx, webhook.PauseAfter(probes)); {
		msg, err := consumer.Next(jetstream.FetchMaxWait(probeWait))
		if err != nil {
			continue // none waits, or the server cannot be reached
		}
		r.attempt(msg, probePatience) //nolint:contextcheck // an attempt outlives the signal to stop
		probes++
	}
	if !r.breaker.Open() {
		r.cfg.Log.Info().Str("webhook", r.endpoint.Name).Msg("a webhook works again")
	}
}

// attempt delivers an event once and settles it. If that fails, the event is delivered again after a pause that grows to five minutes,
// times patience, or it is given up. It reports whether the breaker is open.
func (r *runner) attempt(msg jetstream.Msg, patience int) (open bool) {
	d, err := r.deliver(r.endpoint, webhook.Event{Header: msg.Headers(), Body: msg.Data()})
	d.Attempt = 1
	if meta, metaErr := msg.Metadata(); metaErr == nil {
		d.Attempt, d.Event = meta.NumDelivered, meta.Sequence.Stream
	}
	if err != nil && r.posting.Err() != nil { // it was interrupted, and has not failed
		_ = msg.Nak()
		return r.breaker.Open()
	}
	open = r.breaker.Note(err)
	if !webhook.Refused(err) {
		r.observer.note(time.Now().UTC(), d.Error, open)
	}
	log := r.cfg.Log.With().Str("webhook", r.endpoint.Name).Str("event", d.ID).Logger()
	switch {
	case err == nil:
		if err := msg.Ack(); err != nil {
			log.Warn().Err(err).Msg("cannot acknowledge an event; it will be sent again")
		}
	case isHopeless(r.endpoint, err, d.Attempt, r.observer.get(), time.Now()) && r.giveUp(d):
		d.Result = endpoint.GivenUp
		log.Warn().Err(err).Uint64("attempts", d.Attempt).Msg("gave up an event: see clientele webhooks deliveries --given-up")
		_ = msg.Term() // else the server delivers it again, and it is recorded again
	default:
		pause := time.Duration(patience) * webhook.PauseAfter(d.Attempt)
		log.Warn().Err(err).Stringer("again_in", pause).Msg("cannot deliver an event; it will be sent again")
		_ = msg.NakWithDelay(pause)
	}
	r.record(r.endpoint.Name, d)
	return open
}

// isHopeless reports whether an event is given up after an attempt that has failed. One that the receiver does not refuse is given up only
// if this process has delivered another since the first attempt, and the breaker is closed. Otherwise the endpoint fails, not the event,
// and the outage must lose nothing: neither the breaker nor the successes survive a restart or a change of settings, but the number of
// attempts does.
func isHopeless(e endpoint.Endpoint, err error, attempt uint64, seen observation, now time.Time) bool {
	if !webhook.Hopeless(err, attempt, time.Duration(e.GiveUpAfter)) {
		return false
	}
	return webhook.Refused(err) || !seen.broken && seen.lastSuccess.After(now.Add(-webhook.Waited(attempt)))
}

// giveUp puts on disk that an event was given up, and reports whether it could. The event of an endpoint that was removed during the attempt
// has no record, which nothing would remove: it is gone with its consumer. A new endpoint of the same name is not that endpoint. If the
// server does not tell whether it exists, the event is not given up: the next attempt decides.
func (r *runner) giveUp(d endpoint.Delivery) bool {
	ctx, cancel := context.WithTimeout(r.posting, writeTimeout)
	defer cancel()
	current, err := r.bucket.Get(ctx, r.endpoint.Name)
	if _, missing := errors.AsType[*endpoint.MissingError](err); missing || err == nil && !current.CreatedAt.Equal(r.endpoint.CreatedAt) {
		return false
	}
	if err == nil {
		err = subscription.Record(ctx, r.js, subscription.Undelivered{
			Name: r.endpoint.Name, Sequence: d.Event, ClientID: d.ClientID, Attempts: d.Attempt, Reason: d.Error, Time: time.Now().UTC(),
		})
	}
	if err != nil {
		r.cfg.Log.Warn().Err(r.cfg.Explain(err)).Str("webhook", r.endpoint.Name).Msg("cannot give up an event")
	}
	return err == nil
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
