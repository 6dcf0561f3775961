// Package subscription manages the durable consumers of subscribers on the stream of events.
package subscription

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// ackWait is how long a subscriber may keep an event before it is delivered again.
const ackWait = 90 * time.Second

// Config configures Create.
type Config struct {
	// Name is the name of the durable consumer.
	Name string
	// Since is the time of the first event. The zero time means where an earlier consumer with this name was, or else the next
	// event.
	Since time.Time
	// Subjects are the subjects to deliver; nil means all of the stream.
	Subjects []string
	// IDOnly delivers headers without bodies: the id of the client, and the id, the type and the time of the event.
	IDOnly bool
}

// State is the state of a subscriber's durable consumer.
type State struct {
	Name       string
	IDOnly     bool
	Pending    uint64    // events that were not delivered yet
	AckPending int       // events that were delivered, but not acknowledged yet
	Delivered  time.Time // of the last event; zero before the first
}

// MissingError means that the stream of events has no durable consumer with this name.
type MissingError struct{ Name string }

func (e *MissingError) Error() string {
	return "consumer " + e.Name + " of stream " + domain.StreamEvents + " is missing"
}

// ExistingError means that the stream of events already has a durable consumer with this name.
type ExistingError struct{ Name string }

func (e *ExistingError) Error() string {
	return "consumer " + e.Name + " of stream " + domain.StreamEvents + " already exists"
}

// Create creates the durable consumer of a subscriber, or returns an *ExistingError. The server delivers each event until
// the subscriber acknowledges it.
func Create(ctx context.Context, js jetstream.JetStream, cfg Config) (jetstream.Consumer, error) {
	_, err := Open(ctx, js, cfg.Name)
	if err == nil {
		return nil, &ExistingError{cfg.Name}
	}
	if _, missing := errors.AsType[*MissingError](err); !missing {
		return nil, err
	}
	settings := jetstream.ConsumerConfig{
		Durable:        cfg.Name,
		Description:    "Clientele: a subscriber",
		FilterSubjects: cfg.Subjects,
		HeadersOnly:    cfg.IDOnly,
		DeliverPolicy:  jetstream.DeliverNewPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        ackWait,
		MaxDeliver:     -1,
	}
	if err := begin(ctx, js, cfg, &settings); err != nil {
		return nil, err
	}
	consumer, err := js.CreateConsumer(ctx, domain.StreamEvents, settings)
	if errors.Is(err, jetstream.ErrConsumerExists) { // created at the same time with other settings
		return nil, &ExistingError{cfg.Name}
	}
	if err != nil {
		return nil, wrap(err, "create", cfg.Name)
	}
	return consumer, savePosition(ctx, js, consumer.CachedInfo())
}

// begin sets the first event of a consumer.
func begin(ctx context.Context, js jetstream.JetStream, cfg Config, settings *jetstream.ConsumerConfig) (err error) {
	if !cfg.Since.IsZero() {
		settings.DeliverPolicy, settings.OptStartTime = jetstream.DeliverByStartTimePolicy, &cfg.Since
		return nil
	}
	if settings.OptStartSeq, err = next(ctx, js, cfg.Name); settings.OptStartSeq > 0 {
		settings.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	}
	return err
}

// Open returns the durable consumer of a subscriber, or a *MissingError.
func Open(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Consumer, error) {
	consumer, err := js.Consumer(ctx, domain.StreamEvents, name)
	return consumer, wrap(err, "look up", name)
}

// SetIDOnly changes whether the server sends the subscriber bodies, or returns a *MissingError. The position of the consumer
// stays. Events that it has delivered before are not taken back.
func SetIDOnly(ctx context.Context, js jetstream.JetStream, name string, idOnly bool) error {
	consumer, err := Open(ctx, js, name)
	if err != nil {
		return err
	}
	settings := consumer.CachedInfo().Config
	settings.HeadersOnly = idOnly
	_, err = js.UpdateConsumer(ctx, domain.StreamEvents, settings)
	return wrap(err, "change", name)
}

// IsIDOnly reports whether the stream of events has a durable consumer with this name that receives no bodies.
func IsIDOnly(ctx context.Context, js jetstream.JetStream, name string) (bool, error) {
	consumer, err := Open(ctx, js, name)
	if _, missing := errors.AsType[*MissingError](err); missing {
		return false, nil
	}
	return err == nil && consumer.CachedInfo().Config.HeadersOnly, err
}

// Delete deletes the durable consumer of a subscriber, its position and the records of what it has not accepted. It returns a
// *MissingError if there is no consumer.
func Delete(ctx context.Context, js jetstream.JetStream, name string) error {
	err := wrap(js.DeleteConsumer(ctx, domain.StreamEvents, name), "delete", name)
	if _, missing := errors.AsType[*MissingError](err); err != nil && !missing {
		return err
	}
	if forgotten := forget(ctx, js, domain.SubjectPosition+name, domain.SubjectUndelivered+name+".*"); forgotten != nil {
		return forgotten
	}
	return err
}

func wrap(err error, action, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return &MissingError{name}
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return &streams.MissingError{Stream: domain.StreamEvents}
	default:
		return fmt.Errorf("%s consumer %s of stream %s: %w", action, name, domain.StreamEvents, err)
	}
}

// List returns the durable consumers of the events. It stops after an error.
func List(ctx context.Context, js jetstream.JetStream) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		stream, err := js.Stream(ctx, domain.StreamEvents)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			err = &streams.MissingError{Stream: domain.StreamEvents}
		}
		if err != nil {
			yield(State{}, fmt.Errorf("list the consumers: %w", err))
			return
		}
		consumers := stream.ListConsumers(ctx)
		for info := range consumers.Info() {
			if info.Config.Durable == "" {
				continue
			}
			s := State{Name: info.Name, IDOnly: info.Config.HeadersOnly, Pending: info.NumPending, AckPending: info.NumAckPending}
			if info.Delivered.Last != nil {
				s.Delivered = *info.Delivered.Last
			}
			if !yield(s, nil) {
				return
			}
		}
		if err := consumers.Err(); err != nil {
			yield(State{}, fmt.Errorf("list the consumers of stream %s: %w", domain.StreamEvents, err))
		}
	}
}
