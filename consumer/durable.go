package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// ackWait is how long the server waits for a heartbeat or an ack before it delivers a command to another worker. The commands
// of a worker that died wait as long. A worker that pauses for longer, on a machine without a free processor, only causes
// redeliveries.
const ackWait = 1500 * time.Millisecond

// MissingConsumerError means that the command stream does not have the consumer of the workers.
type MissingConsumerError struct{}

func (*MissingConsumerError) Error() string {
	return "consumer " + domain.ConsumerWorker + " of stream " + domain.StreamCommands + " is missing"
}

// Migrate creates the consumer that all workers share, or changes the existing one to these settings.
func Migrate(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.CreateOrUpdateConsumer(ctx, domain.StreamCommands, jetstream.ConsumerConfig{
		Durable:     domain.ConsumerWorker,
		Description: "Clientele: the workers",
		AckPolicy:   jetstream.AckExplicitPolicy,
		AckWait:     ackWait,
		// A limit would leave a command below the ack floor, undelivered and without an outcome.
		MaxDeliver: -1,
		// The workers limit their own batches.
		MaxAckPending: -1,
	})
	if err != nil {
		return fmt.Errorf("consumer %s: %w", domain.ConsumerWorker, err)
	}
	return nil
}

// Ready returns nil when the server answers and has the consumer that Migrate creates, or a
// *MissingConsumerError.
func Ready(ctx context.Context, js jetstream.JetStream) error {
	_, err := lookUp(ctx, js)
	return err
}

// errUnreachable is the error while there is no connection. Requests would only wait in a buffer.
var errUnreachable = errors.New("NATS cannot be reached")

// lookUp returns the consumer that all workers share, or a *MissingConsumerError.
func lookUp(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	if !js.Conn().IsConnected() {
		return nil, errUnreachable
	}
	consumer, err := js.Consumer(ctx, domain.StreamCommands, domain.ConsumerWorker)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, &MissingConsumerError{}
	}
	if err != nil {
		return nil, fmt.Errorf("look up consumer %s: %w", domain.ConsumerWorker, err)
	}
	return consumer, nil
}
