package consumer

import (
	"context"
	"strings"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// work carries a batch of commands through: store, publish, acknowledge. If the context ends while it has to wait for the
// database or the streams, the commands go back to the log.
func (w *Worker) work(ctx context.Context, msgs []jetstream.Msg) {
	if len(msgs) == 0 {
		return
	}
	defer w.held.hold(msgs)()
	w.metrics.received(msgs)

	ctx, spans := w.begin(ctx, msgs)
	verdicts, err := w.judge(ctx, msgs)
	if err == nil {
		err = w.publish(ctx, msgs, verdicts, spans)
	}
	spans.end(verdicts, err)
	if err != nil {
		w.cfg.Log.Warn().Err(err).Int("commands", len(msgs)).Msg("stopped with commands in hand, they stay on the log")
		for _, msg := range msgs {
			_ = msg.Nak() // or they would wait for ackWait
		}
		return
	}
	w.notify(msgs)
	w.ack(msgs) //nolint:contextcheck // what is done is acknowledged, also by a worker that stops
}

// notify tells waiting callers that outcomes are on disk; delivery is best effort.
func (w *Worker) notify(msgs []jetstream.Msg) {
	ids := make([]string, len(msgs))
	for i, msg := range msgs {
		ids[i] = strings.TrimPrefix(msg.Subject(), domain.SubjectCreate)
	}
	w.cfg.Outcomes.NotifyCompleted(ids)
}

// ack acknowledges the commands and returns when the server has taken note: it works through acks in their order, so the
// answer to the last one is for all. Were it stopped before, as the one inside serve is after the worker, it would deliver
// them again.
func (w *Worker) ack(msgs []jetstream.Msg) {
	ctx, cancel := context.WithTimeout(context.Background(), ackTimeout)
	defer cancel()
	last := len(msgs) - 1
	for i, msg := range msgs {
		acknowledge := msg.Ack
		if i == last {
			acknowledge = func() error { return msg.DoubleAck(ctx) }
		}
		if err := acknowledge(); err != nil {
			w.cfg.Log.Warn().Err(err).Msg("cannot acknowledge a command, it will be delivered again")
		}
	}
}

// judge decodes and stores the commands and says what becomes of each.
func (w *Worker) judge(ctx context.Context, msgs []jetstream.Msg) ([]verdict, error) {
	now := time.Now()
	verdicts := make([]verdict, len(msgs))
	clients := make([]domain.Client, 0, len(msgs))
	indices := make([]int, 0, len(msgs)) // of the clients in msgs
	for i, msg := range msgs {
		command, err := domain.CommandMessage{Subject: msg.Subject(), Header: msg.Headers(), Body: msg.Data()}.Decode()
		if err != nil {
			verdicts[i] = reject(err)
			continue
		}
		clients = append(clients, command.Client(now))
		indices = append(indices, i)
	}
	stored, err := w.create(ctx, clients)
	if err != nil {
		return nil, err
	}
	for i, v := range stored {
		verdicts[indices[i]] = v
	}
	return verdicts, nil
}

// create stores the clients, for as long as that takes. Where the database refuses a batch for its content, halving it
// isolates what is unstorable and lets the rest through.
func (w *Worker) create(ctx context.Context, clients []domain.Client) ([]verdict, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	var results []domain.CreateResult
	var refusal error
	err := w.retry(ctx, attemptStore, func() error {
		// A batch in hand is finished even when the worker is told to stop.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
		defer cancel()
		began := time.Now()
		var err error
		results, err = w.cfg.Store.Create(ctx, clients)
		w.metrics.create.Observe(time.Since(began).Seconds())
		if domain.CodeOf(err) == domain.CodeUnstorable {
			refusal, err = err, nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case refusal == nil:
		verdicts := make([]verdict, len(clients))
		for i, r := range results {
			verdicts[i] = decide(r)
		}
		return verdicts, nil
	case len(clients) == 1:
		return []verdict{reject(refusal)}, nil
	}
	half := len(clients) / 2
	first, err := w.create(ctx, clients[:half])
	if err != nil {
		return nil, err
	}
	second, err := w.create(ctx, clients[half:])
	return append(first, second...), err
}

// publish puts the events and rejections of a judged batch on disk, for as long as that takes.
func (w *Worker) publish(ctx context.Context, msgs []jetstream.Msg, verdicts []verdict, spans spans) error {
	var events []domain.Event
	var rejections []domain.Rejection
	for i, v := range verdicts {
		if v.reason != "" {
			rejections = append(rejections, rejection(msgs[i], v))
			continue
		}
		event, err := domain.NewEvent(v.client)
		if err != nil {
			return err
		}
		event.Traceparent = spans.traceparent(ctx, i)
		events = append(events, event)
	}
	if err := w.retry(ctx, attemptEvents, func() error { return w.cfg.Outcomes.PublishEvents(events) }); err != nil {
		return err
	}
	w.metrics.events.Add(float64(len(events)))
	if len(rejections) == 0 {
		return nil
	}
	for _, r := range rejections {
		w.cfg.Log.Warn().Str("id", r.ID).Str("reason", string(r.Reason)).Msg("rejected a command")
		w.metrics.rejections.WithLabelValues(string(r.Reason)).Inc()
	}
	return w.retry(ctx, attemptRejections, func() error { return w.cfg.Outcomes.PublishRejections(rejections) })
}

func rejection(msg jetstream.Msg, v verdict) domain.Rejection {
	r := domain.Rejection{
		ID:         strings.TrimPrefix(msg.Subject(), domain.SubjectCreate),
		Reason:     v.reason,
		Errors:     v.violations,
		RejectedAt: domain.Timestamp(time.Now()),
		Command:    domain.RejectedCommand{Headers: msg.Headers(), Body: msg.Data()},
	}
	if meta, err := msg.Metadata(); err == nil {
		r.Deliveries = meta.NumDelivered
		r.Command.Sequence = meta.Sequence.Stream
	}
	return r
}
