package domain

import (
	"errors"
	"fmt"
	"strings"
)

// Code tells what went wrong, for the edges to map: to an HTTP status, to what the worker does with the message.
type Code string

// The codes. The first four are also the reasons of a Rejection.
const (
	// CodeInvalid is a command that breaks the rules; the caller can mend it.
	CodeInvalid Code = "invalid"
	// CodeKeyReused is a command whose id already stands for a different one; the caller can mend it.
	CodeKeyReused Code = "idempotency-key-reused"
	// CodeUndecodable is a message on the command log that no ingress could have written.
	CodeUndecodable Code = "undecodable"
	// CodeUnstorable is a client that passed validation and that the database refuses for its content.
	CodeUnstorable Code = "unstorable"

	// CodeMalformed is a body that is not JSON (RFC 8259), or JSON that repeats a member.
	CodeMalformed Code = "malformed-json"
	// CodeNotFound is an id without a client, or a message without a place in the log.
	CodeNotFound Code = "not-found"
	// CodeUnavailable is a command that was surely not accepted, because the log is away.
	CodeUnavailable Code = "unavailable"
	// CodeLogFull is a command that was surely not accepted, because the log is full.
	CodeLogFull Code = "log-full"
	// CodeUnknown is a command that may or may not have been accepted: the log did not answer in time.
	CodeUnknown Code = "outcome-unknown"
)

// Error is the one error type whose code others decide on. Its text holds no value that a caller sent: of malformed
// JSON it shows one character at the most. Names of members are no values, and pointers hold them.
type Error struct {
	Code Code
	// Violations are the broken rules of CodeInvalid, all at once.
	Violations []Violation
	// Offset is where CodeMalformed was noticed: bytes from the start of the body.
	Offset int64
	// Pointer is the JSON Pointer (RFC 6901) of the value in which CodeMalformed was noticed.
	Pointer string
	// Err is what the error is about, for people.
	Err error
}

// Violation is one broken rule.
type Violation struct {
	// Pointer is the JSON Pointer (RFC 6901) of the member that breaks the rule.
	Pointer string `json:"pointer"`
	// Detail says what the member must be. It repeats no value, save the E.164 form suggested for a telephone number.
	Detail string `json:"detail"`
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
