// Package bulk publishes many messages at once to one stream: as an atomic batch, which costs one sync, or singly.
package bulk

import (
	"context"
	"errors"
	"slices"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// Timeout bounds the wait for an acknowledgement. After it the outcome is unknown.
	Timeout = 4 * time.Second
	// MaxBatch is the most messages in one atomic batch; the server's own limit is 1,000.
	MaxBatch = 500
	// breakEven is the number of messages from which one atomic batch is faster than single publishes. It holds for a server
	// that syncs every publish and stages batches in memory, which BenchmarkPublish measures, and about for three replicas.
	breakEven = 4
	// maxBatches is how often Publish tries a batch, with fewer messages each time.
	maxBatches = 3
	// maxSingles is how many single messages wait for their acknowledgements. One server syncs each of them: a disk that takes 50 ms for
	// a sync acknowledges the last one before the timeout.
	maxSingles = 50
)

// Stream publishes to one stream.
type Stream struct {
	// JS is the connection of the stream. Other publishes with it count against its limit and share its timeout.
	JS jetstream.JetStream
	// Patience is the time after which Publish sends no more single messages; 0 means no limit. Those left have domain.CodeUnavailable.
	Patience time.Duration
}

// NewStream returns the stream to which this connection publishes.
func NewStream(nc *nats.Conn) (Stream, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(Timeout))
	return Stream{JS: js}, err
}

// Publish sends n messages, at most MaxBatch, that build returns: a new one each time. It returns an error for each, which is nil if the
// message is on disk. An error is ErrDuplicate or has a code: with domain.CodeUnavailable and domain.CodeLogFull the message was not
// stored, with domain.CodeUnknown it may have been.
//
// The stream refuses a whole batch for one duplicate. Publish then calls exist, which reports for each of these messages whether the
// stream has one with its subject, and sends the others as a batch. If exist is nil or finds none, Publish sends all of them singly.
func (s Stream) Publish(n int, build func(i int) *nats.Msg, exist func(messages []int) []bool) []error {
	errs := make([]error, n)
	left := indices(n)
	if !s.JS.Conn().IsConnected() {
		setAll(errs, left, errUnreachable)
		return errs
	}
	for try := 1; len(left) >= breakEven; try++ {
		refusal := s.publishBatch(errs, left, build)
		if refusal == nil {
			return errs
		}
		if exist == nil || try == maxBatches || !errors.Is(publishError(refusal), ErrDuplicate) {
			break
		}
		duplicates, others := split(left, exist(left))
		if len(duplicates) == 0 {
			break
		}
		setAll(errs, duplicates, ErrDuplicate)
		left = others
	}
	s.publishSingly(errs, left, build, s.Patience)
	return errs
}

// PublishSingly is Publish without batches, for any number of messages.
func (s Stream) PublishSingly(n int, build func(i int) *nats.Msg) []error {
	errs := make([]error, n)
	s.publishSingly(errs, indices(n), build, 0)
	return errs
}

// PublishOne sends a message on its own. It returns an error like those of Publish, with domain.CodeUnknown if the context ends first.
func (s Stream) PublishOne(ctx context.Context, msg *nats.Msg) error {
	if !s.JS.Conn().IsConnected() {
		return errUnreachable
	}
	ack, err := s.JS.PublishMsgAsync(msg)
	if err != nil {
		return domain.Errorf(domain.CodeUnavailable, "publish: %w", err)
	}
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return publishError(err)
	case <-ctx.Done():
		return domain.Errorf(domain.CodeUnknown, "no acknowledgement: %w", ctx.Err())
	}
}

// publishBatch sends the messages as one atomic batch. It returns an error, and nothing is stored, if the stream refuses the batch.
// A stream refuses it for a single message, such as a duplicate.
func (s Stream) publishBatch(errs []error, messages []int, build func(i int) *nats.Msg) (refusal error) {
	msgs := make([]*nats.Msg, len(messages))
	for i, message := range messages {
		msgs[i] = build(message)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	_, err := jetstreamext.PublishMsgBatch(ctx, s.JS, msgs, jetstreamext.BatchFlowControl{})
	if _, refused := errors.AsType[*jetstream.APIError](err); refused {
		return err
	}
	if err != nil {
		setAll(errs, messages, domain.Errorf(domain.CodeUnknown, "publish batch of %d: %w", len(messages), err))
	}
	return nil
}

// publishSingly sends the messages in groups. It sends no group after patience, if that is not 0.
func (s Stream) publishSingly(errs []error, messages []int, build func(i int) *nats.Msg, patience time.Duration) {
	if len(messages) == 0 {
		return
	}
	began := time.Now()
	for few := range slices.Chunk(messages, maxSingles) {
		if patience > 0 && time.Since(began) > patience {
			setAll(errs, few, domain.Errorf(domain.CodeUnavailable, "the stream is slow"))
			continue
		}
		s.publishGroup(errs, few, build)
	}
}

// publishGroup sends all messages without waiting, then waits for all acks.
func (s Stream) publishGroup(errs []error, messages []int, build func(i int) *nats.Msg) {
	acks := make([]jetstream.PubAckFuture, len(messages))
	for i, message := range messages {
		var err error
		if acks[i], err = s.JS.PublishMsgAsync(build(message)); err != nil {
			errs[message] = domain.Errorf(domain.CodeUnavailable, "publish: %w", err)
		}
	}
	for i, ack := range acks {
		if ack == nil {
			continue
		}
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			errs[messages[i]] = publishError(err)
		}
	}
}

// indices returns the numbers from 0 up to n.
func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// split separates the messages that exist from the others.
func split(messages []int, exist []bool) (duplicates, others []int) {
	for i, message := range messages {
		if exist[i] {
			duplicates = append(duplicates, message)
		} else {
			others = append(others, message)
		}
	}
	return duplicates, others
}

func setAll(errs []error, messages []int, err error) {
	for _, message := range messages {
		errs[message] = err
	}
}
