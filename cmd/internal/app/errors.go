package app

import (
	"errors"

	"clientele/cmd/internal/refusal"
	"clientele/consumer"
	"clientele/publisher/audit"
	"clientele/publisher/streams"
	"clientele/store"
)

// Permanent reports whether an error at the start of a process remains until an operator acts. A running process retries after each
// of them except those of WrongSetup: passwords and certificates are renewed while it runs.
func Permanent(err error) bool {
	_, right := errors.AsType[*refusal.PermissionError](err)
	_, file := errors.AsType[*audit.FileError](err)
	return right || file || WrongSetup(err) || refusal.Of(err) != refusal.None
}

// WrongSetup reports whether a server responds but is not set up for this program.
func WrongSetup(err error) bool {
	_, schema := errors.AsType[*store.SchemaError](err)
	_, refusedStream := errors.AsType[*streams.RefusedError](err)
	_, missingStream := errors.AsType[*streams.MissingError](err)
	_, missingConsumer := errors.AsType[*consumer.MissingConsumerError](err)
	_, lost := errors.AsType[*LostError](err)
	return schema || refusedStream || missingStream || missingConsumer || lost
}

// LostError reports that a stream, the consumer or the database is missing while the others exist.
type LostError struct{ Err error }

func (e *LostError) Error() string { return e.Err.Error() }
