package publisher

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// subscriberAckWait is how long a subscriber may keep an event before it is delivered again.
const subscriberAckWait = 90 * time.Second

// SubscriptionConfig configures Subscribe.
type SubscriptionConfig struct {
	// Name is the name of the durable consumer.
	Name string
	// Since is the time of the first event; the zero time means the next event.
	Since time.Time
	// Subjects are the subjects to deliver; nil means all of the stream.
	Subjects []string
}

// Subscription is the state of a subscriber's durable consumer.
type Subscription struct {
	Name       string
	Pending    uint64    // events that were not delivered yet
	AckPending int       // events that were delivered, but not acknowledged yet
	Delivered  time.Time // of the last event; zero before the first
}

// MissingSubscriptionError means that the stream of events has no durable consumer with this name.
type MissingSubscriptionError struct{ Name string }

func (e *MissingSubscriptionError) Error() string {
	return "consumer " + e.Name + " of stream " + domain.StreamEvents + " is missing"
}

// ExistingSubscriptionError means that the stream of events already has a durable consumer with this name.
type ExistingSubscriptionError struct{ Name string }

func (e *ExistingSubscriptionError) Error() string {
	return "consumer " + e.Name + " of stream " + domain.StreamEvents + " already exists"
}

// Subscribe creates the durable consumer of a subscriber, or returns an *ExistingSubscriptionError. The server delivers each event until
// the subscriber acknowledges it.
func Subscribe(ctx context.Context, js jetstream.JetStream, cfg SubscriptionConfig) (jetstream.Consumer, error) {
	_, err := OpenSubscription(ctx, js, cfg.Name)
	if err == nil {
		return nil, &ExistingSubscriptionError{cfg.Name}
	}
	if _, missing := errors.AsType[*MissingSubscriptionError](err); !missing {
		return nil, err
	}
	settings := jetstream.ConsumerConfig{
		Durable:        cfg.Name,
		Description:    "Clientele: a subscriber",
		FilterSubjects: cfg.Subjects,
		DeliverPolicy:  jetstream.DeliverNewPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        subscriberAckWait,
		MaxDeliver:     -1,
	}
	if !cfg.Since.IsZero() {
		settings.DeliverPolicy, settings.OptStartTime = jetstream.DeliverByStartTimePolicy, &cfg.Since
	}
	consumer, err := js.CreateConsumer(ctx, domain.StreamEvents, settings)
	if errors.Is(err, jetstream.ErrConsumerExists) { // created at the same time with other settings
		return nil, &ExistingSubscriptionError{cfg.Name}
	}
	return consumer, subscriptionError(err, "create", cfg.Name)
}

// OpenSubscription returns the durable consumer of a subscriber, or a *MissingSubscriptionError.
func OpenSubscription(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Consumer, error) {
	consumer, err := js.Consumer(ctx, domain.StreamEvents, name)
	return consumer, subscriptionError(err, "look up", name)
}

// Unsubscribe deletes the durable consumer of a subscriber, or returns a *MissingSubscriptionError.
func Unsubscribe(ctx context.Context, js jetstream.JetStream, name string) error {
	return subscriptionError(js.DeleteConsumer(ctx, domain.StreamEvents, name), "delete", name)
}

func subscriptionError(err error, action, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return &MissingSubscriptionError{name}
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return &MissingStreamError{Stream: domain.StreamEvents}
	default:
		return fmt.Errorf("%s consumer %s of stream %s: %w", action, name, domain.StreamEvents, err)
	}
}

// Subscriptions returns the durable consumers of the events. It stops after an error.
func Subscriptions(ctx context.Context, js jetstream.JetStream) iter.Seq2[Subscription, error] {
	return func(yield func(Subscription, error) bool) {
		stream, err := openStream(ctx, js, domain.StreamEvents)
		if err != nil {
			yield(Subscription{}, err)
			return
		}
		consumers := stream.ListConsumers(ctx)
		for info := range consumers.Info() {
			if info.Config.Durable == "" {
				continue
			}
			s := Subscription{Name: info.Name, Pending: info.NumPending, AckPending: info.NumAckPending}
			if info.Delivered.Last != nil {
				s.Delivered = *info.Delivered.Last
			}
			if !yield(s, nil) {
				return
			}
		}
		if err := consumers.Err(); err != nil {
			yield(Subscription{}, fmt.Errorf("list the consumers of stream %s: %w", domain.StreamEvents, err))
		}
	}
}
