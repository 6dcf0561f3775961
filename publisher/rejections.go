package publisher

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher/bulk"
	"clientele/publisher/leader"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// A page of rejections ends with the first of these that is reached.
	pageMessages = 256
	pageBytes    = 1 << 20
	pageTimeout  = 5 * time.Second
)

// ReasonUnreadable is the reason of a StoredRejection whose message is not a rejection. No worker wrote it.
const ReasonUnreadable domain.Code = "unreadable"

// Rejections lists, retries and drops the dead letters.
type Rejections struct {
	rejections jetstream.Stream
	commands   jetstream.Stream
	log        bulk.Stream // publishes to the command log
}

// StoredRejection is a rejection and its place on the stream. Its ID is the last token of the subject, byte for byte; the JSON
// of the rejection has the same ID only if it is UTF-8.
//
// With ReasonUnreadable, RejectedAt is when the message arrived, and Command.Body is the whole message.
type StoredRejection struct {
	domain.Rejection
	Sequence uint64
}

// headerRetries is the header of a command that was retried. A worker copies it to the next rejection.
const headerRetries = "Clientele-Retries"

// Retries returns how often operators have retried the command. Programs of version 0.1 do not count.
func (r StoredRejection) Retries() uint64 {
	n, err := strconv.ParseUint(nats.Header(r.Command.Headers).Get(headerRetries), 10, 32)
	if err != nil { // such as without the header
		return 0
	}
	return n
}

// RejectionFilter selects rejections. The zero value selects all.
type RejectionFilter struct {
	// Reasons, if any, are those to select.
	Reasons []domain.Code
	// Pointer, unless it is "", is the JSON Pointer of a member that violates a rule.
	Pointer string
	// Caller, unless it is "", is the caller that sent the command.
	Caller string
	// Since and Until, where not zero, bound the time of the rejection; both are included.
	Since, Until time.Time
	// UpTo, unless it is 0, is the last sequence to look at, see Newest.
	UpTo uint64
}

func (f RejectionFilter) matches(r StoredRejection) bool {
	wrong := func(v domain.Violation) bool { return v.Pointer == f.Pointer }
	return (len(f.Reasons) == 0 || slices.Contains(f.Reasons, r.Reason)) &&
		(f.Pointer == "" || slices.ContainsFunc(r.Errors, wrong)) &&
		(f.Caller == "" || r.Command.Caller() == f.Caller) &&
		(f.Since.IsZero() || !r.RejectedAt.Before(f.Since)) &&
		(f.Until.IsZero() || !r.RejectedAt.After(f.Until))
}

// SkippedError means that this rejection cannot be retried or dropped now. Continue with the others.
type SkippedError struct{ Reason string }

func (e *SkippedError) Error() string { return e.Reason }

var (
	// errInProgress means that the rejected command is not known to be finished, see isDone.
	errInProgress = &SkippedError{Reason: "its command is still in progress"}
	// errAnother means that the log has a later command with this id.
	errAnother = &SkippedError{Reason: "a later command with this id is in progress"}
)

// OpenRejections returns the rejections of the server that the connection leads to, or a *streams.MissingError.
func OpenRejections(ctx context.Context, nc *nats.Conn) (*Rejections, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	var r Rejections
	if r.rejections, err = streams.Open(ctx, js, domain.StreamRejections); err != nil {
		return nil, err
	}
	if r.commands, err = streams.Open(ctx, js, domain.StreamCommands); err != nil {
		return nil, err
	}
	r.log, err = bulk.NewStream(nc)
	return &r, err
}

// Newest returns the sequence of the newest rejection. When you retry rejections, stop at the one that is newest at
// the start: commands may be rejected again, and the loop would never end.
func (r *Rejections) Newest(ctx context.Context) (uint64, error) {
	info, err := r.rejections.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("look up stream %s: %w", domain.StreamRejections, err)
	}
	return info.State.LastSeq, nil
}

// All returns the matching rejections that exist when it begins, oldest first. It reads a page at a time and leaves nothing
// on the server. It stops after an error.
func (r *Rejections) All(ctx context.Context, f RejectionFilter) iter.Seq2[StoredRejection, error] {
	return func(yield func(StoredRejection, error) bool) {
		if f.UpTo == 0 {
			var err error
			if f.UpTo, err = r.Newest(ctx); err != nil {
				yield(StoredRejection{}, err)
				return
			}
		}
		for next := uint64(1); next <= f.UpTo; {
			msgs, err := r.page(ctx, next)
			if err != nil {
				yield(StoredRejection{}, err)
				return
			}
			if len(msgs) == 0 {
				return
			}
			for _, msg := range msgs {
				if msg.Sequence > f.UpTo {
					return
				}
				rejection := parseStored(msg)
				if f.matches(rejection) && !yield(rejection, nil) {
					return
				}
				next = msg.Sequence + 1
			}
		}
	}
}

// RejectionRecorder is a database that records which operations were rejected.
type RejectionRecorder interface {
	RecordRejections(ctx context.Context, rejections []domain.Rejection) error
}

// Record records all rejections in a database that may have lost its records of them. It is safe to repeat.
func (r *Rejections) Record(ctx context.Context, to RejectionRecorder) error {
	var page []domain.Rejection
	for rejection, err := range r.All(ctx, RejectionFilter{}) {
		if err != nil {
			return err
		}
		if page = append(page, rejection.Rejection); len(page) == pageMessages {
			if err := to.RecordRejections(ctx, page); err != nil {
				return err
			}
			page = page[:0]
		}
	}
	return to.RecordRejections(ctx, page)
}

// page returns the next rejections from a sequence on, or none after the last one.
func (r *Rejections) page(ctx context.Context, from uint64) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	batch, err := jetstreamext.GetBatch(ctx, r.log.JS, domain.StreamRejections, pageMessages,
		jetstreamext.GetBatchSeq(from), jetstreamext.GetBatchMaxBytes(pageBytes))
	if err != nil {
		return nil, fmt.Errorf("read rejections: %w", err)
	}
	var msgs []*jetstream.RawStreamMsg
	for msg, err := range batch {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read rejections: %w", err)
		}
		msgs = append(msgs, msg)
	}
	// After the timeout, the batch ends without an error. The messages received are valid, and the next page continues after them.
	if len(msgs) == 0 {
		return nil, fmt.Errorf("read rejections: no response: %w", ctx.Err())
	}
	return msgs, nil
}

// Get returns the rejection of the command with this id, or an error with domain.CodeNotFound.
func (r *Rejections) Get(ctx context.Context, id string) (StoredRejection, error) {
	notFound := domain.Errorf(domain.CodeNotFound, "no rejection has the id %q", id)
	if id == "" || strings.ContainsAny(id, ". \t\r\n") { // not one token of a subject
		return StoredRejection{}, notFound
	}
	if strings.ContainsAny(id, "*>") { // the server reads these as a pattern in a look-up, not in a publish
		for rejection, err := range r.All(ctx, RejectionFilter{}) {
			if err != nil || rejection.ID == id {
				return rejection, err
			}
		}
		return StoredRejection{}, notFound
	}
	msg, err := leader.Last(ctx, r.log.JS, r.rejections, domain.SubjectRejected+id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return StoredRejection{}, notFound
	}
	if err != nil {
		return StoredRejection{}, err
	}
	return parseStored(msg), nil
}

func parseStored(msg *jetstream.RawStreamMsg) StoredRejection {
	rejection, err := domain.ParseRejection(msg.Data)
	if err != nil {
		rejection = domain.Rejection{
			Reason:     ReasonUnreadable,
			RejectedAt: msg.Time,
			Command:    domain.RejectedCommand{Body: msg.Data},
		}
	}
	rejection.ID = strings.TrimPrefix(msg.Subject, domain.SubjectRejected)
	return StoredRejection{Rejection: rejection, Sequence: msg.Sequence}
}

// Retry puts the rejected command on the log again and then removes the rejection. If it is interrupted between two steps,
// repeat it. If the worker rejects the command again, that newer rejection stays.
//
// An error is a *SkippedError if this rejection cannot be retried now, such as when a command with its id is in progress.
// With that, domain.CodeLogFull or domain.CodeUnavailable the command was not published; after any other error it may have
// been. After every error the rejection still exists, and you may retry it again.
func (r *Rejections) Retry(ctx context.Context, rejection StoredRejection) error {
	if rejection.Reason == ReasonUnreadable {
		return &SkippedError{Reason: "its message is not a rejection, so it has no command"}
	}
	if rejection.Reason == domain.CodeErased {
		return &SkippedError{Reason: "its client was erased, so the command was not kept"}
	}
	if err := r.forget(ctx, rejection); err != nil {
		return err
	}
	if err := r.republish(rejection); err != nil { //nolint:contextcheck // a publish has its own timeout and is never cancelled
		return err
	}
	return r.remove(ctx, rejection)
}

// Drop removes the rejection, and with it the last copy of the command: its operation is unknown afterwards. A later command
// with the same id stays. An error is a *SkippedError if the command may still be in progress. After an error the rejection
// still exists, and you may drop it again.
func (r *Rejections) Drop(ctx context.Context, rejection StoredRejection) error {
	// A finished command without its outcome would look like a pending one.
	if err := r.forget(ctx, rejection); err != nil && !errors.Is(err, errAnother) {
		return err
	}
	return r.remove(ctx, rejection)
}

// forget removes the command with the rejection's id from the log, if it is finished. Otherwise, forget returns errInProgress,
// or errAnother if it is a later command.
//
// It deletes by sequence, so it never deletes a later command with this id. A purge by subject would be wrong: a subject may
// end in a literal asterisk, which a purge reads as every command.
func (r *Rejections) forget(ctx context.Context, rejection StoredRejection) error {
	msg, err := leader.Last(ctx, r.log.JS, r.commands, domain.SubjectCreate+rejection.ID)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	done, err := isDone(ctx, r.commands, msg.Sequence)
	switch {
	case err != nil:
		return err
	case !done && !rejection.Command.Is(logged(msg)):
		return errAnother
	case !done:
		return errInProgress
	}
	return leader.Remove(ctx, r.log.JS, r.commands, msg.Sequence)
}

// republish puts the rejected command on the log.
func (r *Rejections) republish(rejection StoredRejection) error {
	header := nats.Header(maps.Clone(rejection.Command.Headers))
	// These headers belong to the first publish. The number in an atomic batch would make the server refuse this one.
	maps.DeleteFunc(header, func(name string, _ []string) bool {
		return strings.HasPrefix(strings.ToLower(name), "nats-")
	})
	if header == nil { // no ingress wrote the command
		header = nats.Header{}
	}
	header.Set(headerRetries, strconv.FormatUint(rejection.Retries()+1, 10))
	err := r.log.Publish(1, func(int) *nats.Msg {
		return &nats.Msg{Subject: domain.SubjectCreate + rejection.ID, Header: header, Data: rejection.Command.Body}
	}, nil)[0]
	if errors.Is(err, bulk.ErrDuplicate) { // published since forget
		return errAnother
	}
	if unpublishable(err) {
		return &SkippedError{Reason: "the command cannot be published again: " + err.Error()}
	}
	return err
}

// unpublishable reports whether the message itself cannot be published. A rejection replaces bytes that are not UTF-8, which
// makes headers longer and may make their names invalid.
func unpublishable(err error) bool {
	api, answered := errors.AsType[*jetstream.APIError](err)
	return answered && api.ErrorCode == codeTooLarge || errors.Is(err, nats.ErrBadHeaderMsg) ||
		errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject)
}

// codeTooLarge is the server's code for a message that is larger than its stream allows.
const codeTooLarge jetstream.ErrorCode = 10054

// remove removes this rejection, but not a newer one with the same id.
func (r *Rejections) remove(ctx context.Context, rejection StoredRejection) error {
	return leader.Remove(ctx, r.log.JS, r.rejections, rejection.Sequence)
}
