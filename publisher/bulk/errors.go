package bulk

import (
	"errors"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrDuplicate means that the stream refuses the message because it has another with the same subject.
var ErrDuplicate = errors.New("the stream has a message with this subject")

var errUnreachable = domain.Errorf(domain.CodeUnavailable, "NATS cannot be reached")

// The server's codes for a refused message. It checks its limits before it stores or replicates a message.
const (
	codeAccountFull jetstream.ErrorCode = 10002 // the storage limit of the account
	codeServerFull  jetstream.ErrorCode = 10023 // the storage limit of the server
	codeStoreFailed jetstream.ErrorCode = 10077 // the store refused the message; the description has the reason
)

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
		return ErrDuplicate
	case api.Description == "maximum bytes exceeded":
		return domain.Errorf(domain.CodeLogFull, "the stream is full: %w", err)
	default: // A failed write may still have reached the disk.
		return domain.Errorf(domain.CodeUnknown, "publish: %w", err)
	}
}

// IsStreamFull reports whether a message was refused because the stream has reached its own limit.
func IsStreamFull(err error) bool {
	api, answered := errors.AsType[*jetstream.APIError](err)
	return answered && api.ErrorCode == codeStoreFailed && domain.CodeOf(err) == domain.CodeLogFull
}
