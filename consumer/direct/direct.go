// Package direct reads messages of streams by direct gets: without a consumer, from any server that has the stream.
//
// Of several servers, one that lacks the last messages may answer. It has all messages before those. The stream's leader alone knows
// the end.
package direct

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// readBatch is the number of messages that one request reads, readTimeout bounds the wait for them.
const (
	readBatch   = 500
	readTimeout = 10 * time.Second
)

// A read that does not find all messages is repeated after minWait, then after twice the last wait up to maxWait, for patience. Three
// servers elect a leader and catch up within that time.
const (
	minWait  = 100 * time.Millisecond
	maxWait  = 2 * time.Second
	patience = 30 * time.Second
)

// FirstSince returns the sequence of the first message that arrived then or later, or the greatest sequence if none did. The stream's
// leader has reported info. If its last message arrived then or later but no server returns it, FirstSince returns the first sequence
// of the stream.
func FirstSince(ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo, since time.Time) (uint64, error) {
	if info.State.LastTime.Before(since) {
		return math.MaxUint64, nil
	}
	msgs, err := read(ctx, js, info.Config.Name, 1, jetstreamext.GetBatchStartTime(since))
	if err != nil {
		return 0, err
	}
	if len(msgs) == 0 {
		return max(info.State.FirstSeq, 1), nil
	}
	return msgs[0].Sequence, nil
}

// Range calls f with the messages of a stream from one sequence, at least 1, to another, in order, and returns its error. While the
// servers that answer lack some of them, Range repeats the read for 30 s. Then it returns an error. It does not wait for
// messages that were removed.
func Range(ctx context.Context, js jetstream.JetStream, stream string, first, last uint64, f func([]*jetstream.RawStreamMsg) error) error {
	for first <= last {
		msgs, err := next(ctx, js, stream, first, last)
		if err != nil || len(msgs) == 0 {
			return err
		}
		if err := f(msgs); err != nil {
			return err
		}
		first = msgs[len(msgs)-1].Sequence + 1
	}
	return nil
}

// next returns the next messages up to a sequence, or none if no more exist.
func next(ctx context.Context, js jetstream.JetStream, stream string, first, last uint64) (msgs []*jetstream.RawStreamMsg, err error) {
	err = Repeat(ctx, func() (err error) {
		if msgs, err = read(ctx, js, stream, readBatch, jetstreamext.GetBatchSeq(first)); err != nil || len(msgs) > 0 {
			return err
		}
		return removed(ctx, js, stream, first, last)
	})
	beyond := func(msg *jetstream.RawStreamMsg) bool { return msg.Sequence > last }
	return slices.DeleteFunc(msgs, beyond), err
}

// Repeat calls f until it returns nil, or its last error after 30 s or the end of the context.
func Repeat(ctx context.Context, f func() error) error {
	began := time.Now()
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		err := f()
		if err == nil || time.Since(began) > patience || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// removed returns nil if the stream's leader reports that it no longer has any of these messages.
func removed(ctx context.Context, js jetstream.JetStream, name string, first, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", name, err)
	}
	info, err := stream.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return fmt.Errorf("look up the removed messages of stream %s: %w", name, err)
	}
	deleted := slices.Sorted(slices.Values(info.State.Deleted))
	for sequence := max(first, info.State.FirstSeq); sequence <= last; sequence++ {
		if _, found := slices.BinarySearch(deleted, sequence); !found {
			return fmt.Errorf("read stream %s: the server that answered does not have message %d yet", name, sequence)
		}
	}
	return nil
}

func read(ctx context.Context, js jetstream.JetStream, stream string, n int, from jetstreamext.GetBatchOpt) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return collectAll(stream)(jetstreamext.GetBatch(ctx, js, stream, n, from))
}

// Last returns the last messages of those of the subjects, at most 1,024, that have one on the server that answers.
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
			// Routes between servers can lose messages of a response.
			if before := msg.Header[jetstream.LastSequenceHeader]; len(msgs) > 0 && len(before) > 0 &&
				before[len(before)-1] != strconv.FormatUint(msgs[len(msgs)-1].Sequence, 10) {
				return nil, fmt.Errorf("read stream %s: the response has a gap before message %d", stream, msg.Sequence)
			}
			msgs = append(msgs, msg)
		}
		if len(msgs) == 0 {
			return nil, fmt.Errorf("read stream %s: no response in time", stream)
		}
		return msgs, nil
	}
}
