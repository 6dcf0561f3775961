// Package direct reads messages of streams by direct gets: without a consumer, from any server that has the stream.
package direct

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// readBatch is the number of messages that one request reads, readTimeout bounds the wait for them.
const (
	readBatch   = 500
	readTimeout = 10 * time.Second
)

// FirstSince returns the sequence of the first message that arrived then or later, or the greatest sequence if none did.
func FirstSince(ctx context.Context, js jetstream.JetStream, stream string, since time.Time) (uint64, error) {
	msgs, err := read(ctx, js, stream, 1, jetstreamext.GetBatchStartTime(since))
	if err != nil {
		return 0, err
	}
	if len(msgs) == 0 {
		return math.MaxUint64, nil
	}
	return msgs[0].Sequence, nil
}

// Read returns the next messages of a stream, from a sequence that is at least 1. It returns none if the stream has none.
func Read(ctx context.Context, js jetstream.JetStream, stream string, first uint64) ([]*jetstream.RawStreamMsg, error) {
	return read(ctx, js, stream, readBatch, jetstreamext.GetBatchSeq(first))
}

func read(ctx context.Context, js jetstream.JetStream, stream string, n int, from jetstreamext.GetBatchOpt) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return collectAll(stream)(jetstreamext.GetBatch(ctx, js, stream, n, from))
}

// Last returns the last messages of those of the subjects, at most 1,024, that have one.
func Last(ctx context.Context, js jetstream.JetStream, stream string, subjects []string) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return collectAll(stream)(jetstreamext.GetLastMsgsFor(ctx, js, stream, subjects))
}

// collectAll returns a function that returns the messages of a response.
func collectAll(stream string) func(iter.Seq2[*jetstream.RawStreamMsg, error], error) ([]*jetstream.RawStreamMsg, error) {
	return func(response iter.Seq2[*jetstream.RawStreamMsg, error], err error) (msgs []*jetstream.RawStreamMsg, _ error) {
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", stream, err)
		}
		for msg, err := range response {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				return nil, nil
			}
			if err != nil {
				return nil, fmt.Errorf("read stream %s: %w", stream, err)
			}
			msgs = append(msgs, msg)
		}
		if len(msgs) == 0 {
			return nil, fmt.Errorf("read stream %s: no response in time", stream)
		}
		return msgs, nil
	}
}
