package consumer

import (
	"context"
	"errors"
	"strings"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Store keeps the clients.
type Store interface {
	// Create stores the clients whose ids are free and not erased, all or none; result i belongs to client i. An error means that nothing is
	// known to be stored, and the worker repeats the call. An error with domain.CodeUnstorable is permanent: the database refuses
	// the content of at least one client.
	Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error)
}

// Outcomes publishes the outcomes of commands.
type Outcomes interface {
	// PublishEvents and PublishRejections return nil when all of them are on disk. After an error the worker repeats the call.
	PublishEvents(events []domain.Event) error
	PublishRejections(rejections []domain.Rejection) error
	// NotifyCompleted tells waiting callers that the outcomes of the commands with these ids are on disk. Delivery is best
	// effort.
	NotifyCompleted(ids []string)
}

const (
	// createTimeout bounds one attempt at a transaction. After it the outcome is unknown, and the batch is tried again.
	createTimeout = 15 * time.Second
	// ackTimeout bounds the wait for the server to process acks.
	ackTimeout = 2 * time.Second
)

// processor processes batches of commands.
type processor struct {
	store    Store
	outcomes Outcomes
	log      zerolog.Logger
	metrics  metrics
	tracing  tracing
	retrier  retrier
	inFlight *inFlight
	newer    newerRules
}

// process stores the clients of a batch of commands, publishes the outcomes and acknowledges the commands. The batch was
// requested at the time since. If the context ends while the database or the streams are unavailable, process returns the
// commands to the log. If another worker may have them by now, it publishes nothing and leaves them to that worker.
func (p processor) process(ctx context.Context, msgs []jetstream.Msg, since time.Time) {
	if msgs = p.newer.leave(msgs); len(msgs) == 0 {
		return
	}
	lease, release := p.inFlight.add(msgs, since)
	defer release()
	p.metrics.received(msgs)

	ctx, spans := p.tracing.begin(ctx, msgs)
	verdicts, err := p.judge(ctx, msgs)
	if err == nil {
		err = p.publish(ctx, lease, verdicts, spans)
	}
	spans.end(verdicts, err)
	if errors.Is(err, errLapsed) {
		p.metrics.lapsed.Add(float64(len(msgs)))
		p.log.Warn().Err(err).Int("commands", len(msgs)).Msg("this worker was stopped or disconnected; it did not publish the outcomes")
		return
	}
	if err != nil {
		p.log.Warn().Err(err).Int("commands", len(msgs)).Msg("stopped before the commands were processed; they stay on the log")
		for _, msg := range msgs {
			_ = msg.Nak() // else the server redelivers it only after ackWait
		}
		return
	}
	p.notify(msgs)
	p.ack(msgs) //nolint:contextcheck // a worker that stops still acknowledges finished commands
}

// notify tells waiting callers that outcomes are on disk; delivery is best effort.
func (p processor) notify(msgs []jetstream.Msg) {
	ids := make([]string, len(msgs))
	for i, msg := range msgs {
		ids[i] = strings.TrimPrefix(msg.Subject(), domain.SubjectCreate)
	}
	p.outcomes.NotifyCompleted(ids)
}

// ack acknowledges the commands and returns when the server has processed the acks. The server processes them in order, so
// the answer to the last one is enough. Without the wait, the server inside serve could stop first and deliver them again.
func (p processor) ack(msgs []jetstream.Msg) {
	ctx, cancel := context.WithTimeout(context.Background(), ackTimeout)
	defer cancel()
	last := len(msgs) - 1
	for i, msg := range msgs {
		acknowledge := msg.Ack
		if i == last {
			acknowledge = func() error { return msg.DoubleAck(ctx) }
		}
		if err := acknowledge(); err != nil {
			p.log.Warn().Err(err).Msg("cannot acknowledge a command; it will be delivered again")
		}
	}
}

// judge decodes and stores the commands and returns the verdict on each.
func (p processor) judge(ctx context.Context, msgs []jetstream.Msg) ([]verdict, error) {
	now := time.Now()
	verdicts := make([]verdict, len(msgs))
	clients := make([]domain.Client, 0, len(msgs))
	indices := make([]int, 0, len(msgs)) // of the clients in msgs
	for i, msg := range msgs {
		var command domain.CreateClient
		err := recovered(p.log, func() (err error) {
			command, err = domain.CommandMessage{Subject: msg.Subject(), Header: msg.Headers(), Body: msg.Data()}.Decode()
			return err
		})
		if err != nil {
			verdicts[i] = reject(err)
			continue
		}
		clients = append(clients, command.Client(now))
		indices = append(indices, i)
	}
	stored, err := p.create(ctx, clients)
	if err != nil {
		return nil, err
	}
	for i, v := range stored {
		verdicts[indices[i]] = v
	}
	return verdicts, nil
}

// create stores the clients and retries until it can. If the database refuses a batch for its content, or the code panics at it, create
// halves the batch: that isolates the client and stores the others.
func (p processor) create(ctx context.Context, clients []domain.Client) ([]verdict, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	var results []domain.CreateResult
	var refusal error
	err := p.retrier.retry(ctx, attemptStore, func() error {
		// A worker that is told to stop still finishes its batch.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
		defer cancel()
		began := time.Now()
		var err error
		err = recovered(p.log, func() (err error) {
			results, err = p.store.Create(ctx, clients)
			return err
		})
		p.metrics.create.Observe(time.Since(began).Seconds())
		if code := domain.CodeOf(err); code == domain.CodeUnstorable || code == domain.CodeUndecodable {
			refusal, err = err, nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case refusal == nil:
		return p.decideAll(results), nil
	case len(clients) == 1:
		return []verdict{reject(refusal)}, nil
	}
	half := len(clients) / 2
	first, err := p.create(ctx, clients[:half])
	if err != nil {
		return nil, err
	}
	second, err := p.create(ctx, clients[half:])
	return append(first, second...), err
}

func (p processor) decideAll(results []domain.CreateResult) []verdict {
	verdicts := make([]verdict, len(results))
	for i, r := range results {
		if err := recovered(p.log, func() error { verdicts[i] = decide(r); return nil }); err != nil {
			verdicts[i] = reject(err)
		}
	}
	return verdicts
}

// publish puts the events and rejections of a judged batch on disk and retries until it can, or until the lease lapses.
func (p processor) publish(ctx context.Context, lease *lease, verdicts []verdict, spans spans) error {
	var events []domain.Event
	var rejections []domain.Rejection
	for i, v := range verdicts {
		if v.reason != "" {
			rejections = append(rejections, rejection(lease.msgs[i], v))
			continue
		}
		v.event.Traceparent = spans.traceparent(ctx, i)
		events = append(events, v.event)
	}
	if err := p.publishInTime(ctx, lease, attemptEvents, func() error { return p.outcomes.PublishEvents(events) }); err != nil {
		return err
	}
	p.metrics.events.Add(float64(len(events)))
	if len(rejections) == 0 {
		return nil
	}
	for _, r := range rejections {
		p.log.Warn().Str("id", r.ID).Str("reason", string(r.Reason)).Msg("rejected a command")
		p.metrics.rejections.WithLabelValues(string(r.Reason)).Inc()
	}
	return p.publishInTime(ctx, lease, attemptRejections, func() error { return p.outcomes.PublishRejections(rejections) })
}

// errLapsed means that another worker may have the commands of a batch, and may have finished them: their clients may have been
// erased since.
var errLapsed = errors.New("the commands may have been delivered to another worker")

// publishInTime retries f until it succeeds, or returns errLapsed before an attempt that would be too late. The process can be
// stopped during the attempt: then it only reports that.
func (p processor) publishInTime(ctx context.Context, lease *lease, what string, f func() error) error {
	late := false
	err := p.retrier.retry(ctx, what, func() error {
		if late = p.inFlight.lapsed(lease); late {
			return nil
		}
		return f()
	})
	switch {
	case late:
		return errLapsed
	case err == nil && p.inFlight.lapsed(lease):
		p.metrics.lapsed.Add(float64(len(lease.msgs)))
		p.log.Warn().Int("commands", len(lease.msgs)).Msg("this worker was stopped while it published outcomes: run clientele erase --reapply")
	}
	return err
}

func rejection(msg jetstream.Msg, v verdict) domain.Rejection {
	r := domain.Rejection{
		ID:         strings.TrimPrefix(msg.Subject(), domain.SubjectCreate),
		Reason:     v.reason,
		Errors:     v.violations,
		RejectedAt: domain.Timestamp(time.Now()),
		Command:    domain.RejectedCommand{Headers: msg.Headers(), Body: msg.Data()},
	}
	if v.reason == domain.CodeErased {
		r.Command.Body = nil // it would keep the data of an erased client
	}
	if meta, err := msg.Metadata(); err == nil {
		r.Deliveries = meta.NumDelivered
		r.Command.Sequence = meta.Sequence.Stream
	}
	return r
}
