package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// publishTimeout bounds the wait for an acknowledgement. After it the outcome is unknown.
	publishTimeout = 4 * time.Second
	// breakEven is the number of messages from which one atomic batch is faster than single publishes. It holds for a server
	// that syncs every publish and stages batches in memory. BenchmarkPublish measures it.
	breakEven = 4
	// maxBatch is the most messages in one atomic batch; the server's own limit is 1,000.
	maxBatch = 500
)

// errDuplicate means that the stream refuses the message because it has another with the same subject.
var errDuplicate = errors.New("the stream has a message with this subject")

// stream publishes many messages at once to one stream.
type stream struct {
	js jetstream.JetStream
	// atomic is true if many messages are published as one atomic batch. It is false for a stream with several replicas:
	// Raft groups the syncs of pipelined single publishes, which is faster.
	atomic bool
}

func newStream(nc *nats.Conn, info jetstream.StreamInfo) (stream, error) {
	// A separate JetStream context: other publishes do not count against its limit or share its timeout.
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishTimeout))
	return stream{js: js, atomic: info.Config.Replicas == 1}, err
}

// Publisher publishes to one stream.
type Publisher struct {
	stream
	name string
}

// OpenPublisher returns the publisher to a stream of the server that the connection leads to, or a *streams.MissingError.
func OpenPublisher(ctx context.Context, nc *nats.Conn, name string) (*Publisher, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	s, err := streams.Open(ctx, js, name)
	if err != nil {
		return nil, err
	}
	to, err := newStream(nc, *s.CachedInfo())
	return &Publisher{to, name}, err
}

// Publish publishes the messages that build returns, in batches, and returns nil when all of them are on disk. After an error some of
// them may be.
func (p *Publisher) Publish(n int, build func(i int) *nats.Msg) error {
	for begin := 0; begin < n; begin += maxBatch {
		for _, err := range p.publish(min(n-begin, maxBatch), func(i int) *nats.Msg { return build(begin + i) }) {
			if err != nil {
				return fmt.Errorf("publish %d messages to %s: %w", n, p.name, err)
			}
		}
	}
	return nil
}

// Ready returns nil if the server answers and has the stream, or a *streams.MissingError.
func (p *Publisher) Ready(ctx context.Context) error { return streams.Exist(ctx, p.js, p.name) }

// publish sends the messages that build returns. It returns an error for each, which is nil if the message is on disk. An error
// is errDuplicate or has a code: with domain.CodeUnavailable and domain.CodeLogFull the message was not stored, with
// domain.CodeUnknown it may have been.
func (s stream) publish(n int, build func(i int) *nats.Msg) []error {
	errs := make([]error, n)
	if !s.js.Conn().IsConnected() {
		for i := range errs {
			errs[i] = domain.Errorf(domain.CodeUnavailable, "NATS cannot be reached")
		}
		return errs
	}
	if !s.atomic || n < breakEven || !s.publishBatch(errs, build) {
		s.publishSingly(errs, build)
	}
	return errs
}

// publishBatch sends the messages as one atomic batch. It returns false, and nothing is stored, if the stream refuses the batch.
// A stream refuses it for a single message, such as a duplicate.
func (s stream) publishBatch(errs []error, build func(i int) *nats.Msg) bool {
	msgs := make([]*nats.Msg, len(errs))
	for i := range msgs {
		msgs[i] = build(i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	_, err := jetstreamext.PublishMsgBatch(ctx, s.js, msgs, jetstreamext.BatchFlowControl{})
	if err == nil {
		return true
	}
	if _, refused := errors.AsType[*jetstream.APIError](err); refused {
		return false
	}
	for i := range errs {
		errs[i] = domain.Errorf(domain.CodeUnknown, "publish batch of %d: %w", len(errs), err)
	}
	return true
}

// publishSingly sends all messages without waiting, then waits for all acks.
func (s stream) publishSingly(errs []error, build func(i int) *nats.Msg) {
	acks := make([]jetstream.PubAckFuture, len(errs))
	for i := range errs {
		var err error
		if acks[i], err = s.js.PublishMsgAsync(build(i)); err != nil {
			errs[i] = domain.Errorf(domain.CodeUnavailable, "publish: %w", err)
		}
	}
	for i, ack := range acks {
		if ack == nil {
			continue
		}
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			errs[i] = publishError(err)
		}
	}
}

// publishError returns the error that the refusal of a single message means.
func publishError(err error) error {
	api, answered := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return domain.Errorf(domain.CodeUnavailable, "no stream stores this subject: %w", err)
	case answered && (api.ErrorCode == codeServerFull || api.ErrorCode == codeAccountFull):
		return domain.Errorf(domain.CodeLogFull, "NATS has reached its storage limit: %w", err)
	case !answered || api.ErrorCode != codeStoreFailed:
		return domain.Errorf(domain.CodeUnknown, "publish: %w", err)
	case api.Description == "maximum messages per subject exceeded":
		return errDuplicate
	case api.Description == "maximum bytes exceeded":
		return domain.Errorf(domain.CodeLogFull, "the stream is full: %w", err)
	default: // A failed write may still have reached the disk.
		return domain.Errorf(domain.CodeUnknown, "publish: %w", err)
	}
}

// isStreamFull reports whether a message was refused because the stream has reached its own limit.
func isStreamFull(err error) bool {
	api, answered := errors.AsType[*jetstream.APIError](err)
	return answered && api.ErrorCode == codeStoreFailed && domain.CodeOf(err) == domain.CodeLogFull
}

// The server's codes for a refused message. It checks its limits before it stores or replicates a message.
const (
	codeAccountFull jetstream.ErrorCode = 10002 // the storage limit of the account
	codeServerFull  jetstream.ErrorCode = 10023 // the storage limit of the server
	codeStoreFailed jetstream.ErrorCode = 10077 // the store refused the message; the description has the reason
)
