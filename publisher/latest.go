package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Any replica answers a look-up by id, and can be behind the leader. The functions in this file ask the leader before they return
// domain.CodeNotFound. An ingress has no right to read from the leader, so its questions are a publish and the state of a stream.

const (
	// The pause between two look-ups of a message that the leader has, at first and at most.
	minLag = 10 * time.Millisecond
	maxLag = 500 * time.Millisecond
)

// isReplicated reports whether several servers have the stream.
func isReplicated(s jetstream.Stream) bool { return s.CachedInfo().Config.Replicas > 1 }

// FindLatest is Find, except that domain.CodeNotFound means that during the call the log did not have the command. It waits for a
// replica that is behind. With several replicas, a command that is not on the log costs a write.
//
// After any other error, the log may have the command.
func (l *Log) FindLatest(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error) {
	return latest(ctx, l.commands,
		func() (domain.LoggedCommand, error) { return l.Find(ctx, id) },
		func() (bool, error) { return l.leaderHas(ctx, id) })
}

// leaderHas reports whether the log has the command. The answer false is a message on the log, so that it is true even if the server
// that was the leader is cut off from the others: it can no longer store one.
func (l *Log) leaderHas(ctx context.Context, id uuid.UUID) (bool, error) {
	err := l.publishSync(ctx, nats.Header{
		jetstream.ExpectedLastSubjSeqHeader:     {"0"},
		jetstream.ExpectedLastSubjSeqSubjHeader: {domain.SubjectCreate + id.String()},
	})
	api, answered := errors.AsType[*jetstream.APIError](err)
	// The second code also means that the message is being replicated, or that another request asks the same.
	if answered && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return true, nil
	}
	return false, err
}

// RejectionLatest is Rejection, except that domain.CodeNotFound means that the leader does not have the rejection. It waits for a
// replica that is behind.
func (l *Log) RejectionLatest(ctx context.Context, id uuid.UUID) (domain.Rejection, error) {
	return latest(ctx, l.rejections,
		func() (domain.Rejection, error) { return l.Rejection(ctx, id) },
		func() (bool, error) {
			info, err := l.rejections.Info(ctx, jetstream.WithSubjectFilter(domain.SubjectRejected+id.String()))
			if err != nil {
				return false, fmt.Errorf("ask the leader of %s: %w", domain.StreamRejections, err)
			}
			return len(info.State.Subjects) > 0, nil
		})
}

// latest reads until it finds something, or the leader does not have it.
func latest[T any](ctx context.Context, stream jetstream.Stream, read func() (T, error), leaderHas func() (bool, error)) (T, error) {
	for pause := minLag; ; pause = min(2*pause, maxLag) {
		found, err := read()
		if domain.CodeOf(err) != domain.CodeNotFound || !isReplicated(stream) {
			return found, err
		}
		has, asked := leaderHas()
		if asked != nil {
			return found, asked
		}
		if !has {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, domain.Errorf(domain.CodeUnavailable, "a replica is behind: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}
