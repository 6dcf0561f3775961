package domain

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the kind of an error. The ingress maps it to an HTTP status, the worker to what it does with the message.
type Code string

// The codes. The first five are also the reasons of a Rejection.
const (
	// CodeInvalid is a command that violates the rules. The caller can fix it.
	CodeInvalid Code = "invalid"
	// CodeKeyReused is a command whose id belongs to a different command. The caller can fix it.
	CodeKeyReused Code = "idempotency-key-reused"
	// CodeErased is a command whose id belongs to a client that was erased. It will never create a client.
	CodeErased Code = "erased"
	// CodeUndecodable is a message on the command log that no ingress could have written.
	CodeUndecodable Code = "undecodable"
	// CodeUnstorable is a client that passed validation, but whose content the database refuses.
	CodeUnstorable Code = "unstorable"
	// CodeNewer is a command that was accepted under rules that this program does not know. A newer worker will process it.
	CodeNewer Code = "newer-rules"

	// CodeMalformed is a body that is not JSON (RFC 8259), or JSON that repeats a member.
	CodeMalformed Code = "malformed-json"
	// CodeNotFound is an id without a client, or without a message on the stream.
	CodeNotFound Code = "not-found"
	// CodeUnavailable is a command that was certainly not accepted, because the log is unavailable.
	CodeUnavailable Code = "unavailable"
	// CodeLogFull is a command that was certainly not accepted, because the log or the storage of NATS is full.
	CodeLogFull Code = "log-full"
	// CodeUnknown is a command that may or may not have been accepted: the log did not acknowledge it in time. Or it is an action of an
	// operator that may or may not have been carried out.
	CodeUnknown Code = "outcome-unknown"
)

// Error is an error with a code. Its text contains no value that a caller sent; for malformed JSON it quotes at most one
// character. It may contain the names of members, which are not values.
type Error struct {
	Code Code
	// Violations are all violated rules, with CodeInvalid.
	Violations []Violation
	// Offset is the position of the error in bytes from the start of the body, with CodeMalformed.
	Offset int64
	// Pointer is the JSON Pointer (RFC 6901) of the value that contains the error, with CodeMalformed.
	Pointer string
	// Err is the cause, or nil.
	Err error
}

// Violation is one violated rule.
type Violation struct {
	// Pointer is the JSON Pointer (RFC 6901) of the member that violates the rule.
	Pointer string `json:"pointer"`
	// Detail states the rule. It quotes no value, except the E.164 form that it suggests for a telephone number, see WithoutValues.
	Detail string `json:"detail"`
}

// suggestion is before a suggested telephone number.
const suggestion = "; did you mean "

// WithoutValues removes the suggested telephone numbers from violations, which are shown or logged apart from the request.
func WithoutValues(violations []Violation) {
	for i := range violations {
		violations[i].Detail, _, _ = strings.Cut(violations[i].Detail, suggestion)
	}
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	if len(e.Violations) == 0 {
		return string(e.Code)
	}
	parts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		parts[i] = v.Pointer + " " + v.Detail
	}
	return string(e.Code) + ": " + strings.Join(parts, "; ")
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error with a code and a formatted text.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// CodeOf returns the code of the first Error that err wraps, or "" if there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
