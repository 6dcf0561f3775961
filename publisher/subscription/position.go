package subscription

import (
	"context"
	"errors"
	"fmt"

	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// position is how far a subscriber is on the stream of events.
type position struct {
	// Accepted is the sequence up to which the subscriber has accepted every event.
	Accepted uint64 `json:"accepted"`
}

// savePosition records how far a subscriber is. If its consumer is lost, Create continues there.
func savePosition(ctx context.Context, js jetstream.JetStream, consumer *jetstream.ConsumerInfo) error {
	body, err := json.Marshal(position{Accepted: consumer.AckFloor.Stream})
	if err == nil {
		_, err = js.Publish(ctx, domain.SubjectPosition+consumer.Name, body)
	}
	if err != nil {
		return fmt.Errorf("record the position of consumer %s: %w", consumer.Name, err)
	}
	return nil
}

// next returns the sequence of the first event that a subscriber has not accepted, or 0 if no position is recorded. After the loss of
// the stream, that is the first event of the new one.
func next(ctx context.Context, js jetstream.JetStream, name string) (uint64, error) {
	record, err := lastPosition(ctx, js, name)
	if err != nil || record == nil {
		return 0, err
	}
	events, err := js.Stream(ctx, domain.StreamEvents)
	if err != nil {
		return 0, fmt.Errorf("look up stream %s: %w", domain.StreamEvents, err)
	}
	info := events.CachedInfo()
	var p position
	if err := json.Unmarshal(record.Data, &p); err != nil || record.Time.Before(info.Created) {
		return 1, nil //nolint:nilerr // as after a loss: an event too many is better than one too few
	}
	return min(p.Accepted, info.State.LastSeq) + 1, nil
}

// lastPosition returns the message with the position of a subscriber, or nil.
func lastPosition(ctx context.Context, js jetstream.JetStream, name string) (*jetstream.RawStreamMsg, error) {
	stream, err := js.Stream(ctx, domain.StreamSubscriptions)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, &streams.MissingError{Stream: domain.StreamSubscriptions}
	}
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", domain.StreamSubscriptions, err)
	}
	record, err := stream.GetLastMsgForSubject(ctx, domain.SubjectPosition+name)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // as documented
	}
	if err != nil {
		return nil, fmt.Errorf("read the position of consumer %s: %w", name, err)
	}
	return record, nil
}
