package rejected

import (
	"context"
	"errors"
	"iter"
	"time"

	"clientele/domain"
	"clientele/publisher"

	"github.com/google/uuid"
)

// timeout bounds the work on one rejection.
const timeout = 15 * time.Second

// Settlement retries or drops rejections.
type Settlement struct {
	action domain.AuditAction
	settle func(*publisher.Rejections, context.Context, publisher.StoredRejection) error
}

// Retry puts the commands on the log again.
func Retry() Settlement {
	return Settlement{domain.AuditRejectionRetry, (*publisher.Rejections).Retry}
}

// Drop deletes the rejections and their commands.
func Drop() Settlement {
	return Settlement{domain.AuditRejectionDrop, (*publisher.Rejections).Drop}
}

// Trail records actions, see audit.Recorder.
type Trail interface {
	Act(ctx context.Context, record domain.AuditRecord, do func(end *domain.AuditRecord) error) error
}

// One settles a rejection, even if the context ends, and records it. The record says who acts, and from where. An error is a
// *publisher.SkippedError if this rejection cannot be settled now.
func (s Settlement) One(ctx context.Context, rejections *publisher.Rejections, trail Trail, record domain.AuditRecord, r publisher.StoredRejection) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	record.Action, record.ClientID = s.action, AuditedID(r.ID)
	return trail.Act(ctx, record, func(end *domain.AuditRecord) error {
		err := s.settle(rejections, ctx, r)
		if _, skipped := errors.AsType[*publisher.SkippedError](err); skipped {
			end.Result = domain.AuditSkipped
		}
		return err
	})
}

// AuditedID returns the id of a client, or the zero id for one that other programs have published: any text, and so not recorded.
func AuditedID(id string) uuid.UUID {
	parsed, err := domain.ParseID(id)
	if err != nil {
		return uuid.Nil
	}
	return parsed
}

// ByID yields the rejections with these ids up to a sequence. With an error that has domain.CodeNotFound it yields the id.
func ByID(ctx context.Context, rejections *publisher.Rejections, ids []string, upTo uint64) iter.Seq2[publisher.StoredRejection, error] {
	return func(yield func(publisher.StoredRejection, error) bool) {
		for _, id := range ids {
			r, err := rejections.Get(ctx, id)
			if err == nil && r.Sequence > upTo {
				err = domain.Errorf(domain.CodeNotFound, "the rejection of %q is newer than the selection", id)
			}
			r.ID = id
			if !yield(r, err) {
				return
			}
		}
	}
}
