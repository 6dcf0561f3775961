package control

import (
	"context"
	"fmt"
	"sync"
	"time"

	"clientele/domain"
	"clientele/publisher/endpoint"
	"clientele/publisher/leader"
	"clientele/publisher/streams"
	"clientele/publisher/subscription"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Outcome says what came of an event that was delivered again.
type Outcome struct {
	// Sequence is that of the event.
	Sequence uint64
	// Gone means that the event has expired, or its client was erased. Nothing was delivered.
	Gone bool
	// Delivery is the attempt, unless the event is gone.
	Delivery endpoint.Delivery
}

// Done reports whether the event needs no further attempt: it was delivered, or it is gone.
func (o Outcome) Done() bool { return o.Gone || o.Delivery.Result == endpoint.Delivered }

// Redelivery counts what came of events that were delivered again.
type Redelivery struct {
	Delivered, Gone, Failed int
	// LastError is the error of the last event that was not delivered, or "".
	LastError string
}

func (r *Redelivery) add(o Outcome) {
	switch {
	case o.Gone:
		r.Gone++
	case o.Done():
		r.Delivered++
	default:
		r.Failed, r.LastError = r.Failed+1, o.Delivery.Error
	}
}

// UndeliveredError means that the receiver has not accepted some of the events.
type UndeliveredError struct{ Redelivery }

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("events not delivered: %d, the last because %s", e.Failed, e.LastError)
}

// GivenUp returns the sequences of the events that were given up and not redelivered.
func (w Webhook) GivenUp(ctx context.Context) (sequences []uint64, err error) {
	for u, err := range subscription.ListUndelivered(ctx, w.JetStream, w.Name) {
		if err != nil {
			return nil, err
		}
		sequences = append(sequences, u.Sequence)
	}
	return sequences, nil
}

// Redeliver delivers the events with these sequences on the stream of events, each once and now, even if the endpoint is paused or disabled.
// As many requests as the endpoint allows are sent at once. An event that was delivered or is gone is no longer one that was given up. It
// calls note, which may be nil, with each outcome, one at a time. All events together are one record, which has the number of delivered
// events. The error is an *UndeliveredError if some were not delivered; another error ends the work early. So does the end of the context:
// Redeliver begins no further event, and waits up to stopPatience for those in progress.
func (w Webhook) Redeliver(ctx context.Context, trail Trail, sequences []uint64, note func(Outcome)) (Redelivery, error) {
	r := redelivery{Webhook: w, note: note}
	var err error
	if r.stream, err = streams.Open(ctx, w.JetStream, domain.StreamEvents); err != nil {
		return r.counts, err
	}
	record := domain.AuditRecord{Action: endpoint.AuditRedeliver, Target: w.Name, Count: int64(len(sequences))}
	err = trail.Act(ctx, record, func(end *domain.AuditRecord) error {
		err := r.all(ctx, sequences)
		end.Count = int64(r.counts.Delivered)
		if err == nil && r.counts.Failed > 0 {
			err = &UndeliveredError{r.counts}
		}
		return err
	})
	return r.counts, err
}

// redelivery is a call of Redeliver.
type redelivery struct {
	Webhook

	stream jetstream.Stream
	note   func(Outcome)

	mu     sync.Mutex
	counts Redelivery
}

func (r *redelivery) all(ctx context.Context, sequences []uint64) error {
	group, stopping := errgroup.WithContext(ctx)
	working, cancel := patient(stopping)
	defer cancel()
	group.SetLimit(max(r.InFlight, 1)) // unreadable settings have none
	for _, sequence := range sequences {
		group.Go(func() error {
			if stopping.Err() != nil {
				return stopping.Err()
			}
			o, err := r.one(working, sequence)
			if err != nil {
				return err
			}
			r.count(o)
			if o.Done() {
				return subscription.Undelivered{Name: r.Name, Sequence: sequence}.Forget(working, r.JetStream)
			}
			return nil
		})
	}
	return group.Wait()
}

// stopPatience is how long events in progress may take after the work was stopped. The forwarder does not learn of that and delivers them:
// without their outcomes, they would stay given up, and would be sent again. A process that stops cannot wait as long as a forwarder may
// take, which is longer than it has for stopping.
const stopPatience = 10 * time.Second

// patient returns a context that ends stopPatience after its parent.
func patient(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() { time.AfterFunc(stopPatience, cancel) })
	return ctx, func() {
		stop()
		cancel()
	}
}

// one delivers one event.
func (r *redelivery) one(ctx context.Context, sequence uint64) (o Outcome, err error) {
	o.Sequence = sequence
	event, err := leader.Get(ctx, r.JetStream, r.stream, sequence)
	if domain.CodeOf(err) == domain.CodeNotFound {
		o.Gone = true
		return o, nil
	}
	if err != nil {
		return o, err
	}
	if r.IDOnly {
		event.Data = nil
	}
	o.Delivery, err = endpoint.Deliver(ctx, r.JetStream.Conn(), r.Name, sequence, event.Header, event.Data)
	return o, err
}

func (r *redelivery) count(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.add(o)
	if r.note != nil {
		r.note(o)
	}
}
