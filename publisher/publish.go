package publisher

import (
	"context"
	"fmt"

	"clientele/publisher/bulk"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publisher publishes to one stream.
type Publisher struct {
	stream bulk.Stream
	name   string
}

// OpenPublisher returns the publisher to a stream of the server that the connection leads to, or a *streams.MissingError.
func OpenPublisher(ctx context.Context, nc *nats.Conn, name string) (*Publisher, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if _, err := streams.Open(ctx, js, name); err != nil {
		return nil, err
	}
	to, err := bulk.NewStream(nc)
	return &Publisher{to, name}, err
}

// Publish publishes the messages that build returns, in batches, and returns nil when all of them are on disk. After an error some of
// them may be.
func (p *Publisher) Publish(n int, build func(i int) *nats.Msg) error {
	for begin := 0; begin < n; begin += bulk.MaxBatch {
		errs := p.stream.Publish(min(n-begin, bulk.MaxBatch), func(i int) *nats.Msg { return build(begin + i) }, nil)
		if err := p.firstOf(errs); err != nil {
			return err
		}
	}
	return nil
}

// PublishSingly is Publish without batches.
func (p *Publisher) PublishSingly(n int, build func(i int) *nats.Msg) error {
	return p.firstOf(p.stream.PublishSingly(n, build))
}

// firstOf returns the first error of a publish.
func (p *Publisher) firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("publish %d messages to %s: %w", len(errs), p.name, err)
		}
	}
	return nil
}

// Ready returns nil if the server answers and has the stream, or a *streams.MissingError.
func (p *Publisher) Ready(ctx context.Context) error { return streams.Exist(ctx, p.stream.JS, p.name) }
