package domain

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Rejection is a command that will not create a client, and the reason. It is also the event, the dead letter and the operation's outcome.
type Rejection struct {
	// ID is the last token of the command's subject. An ingress always writes a UUID.
	ID         string      `json:"id"`
	Reason     Code        `json:"reason"`
	Errors     []Violation `json:"errors"`
	RejectedAt time.Time   `json:"rejectedAt"`
	// Deliveries is how often the command was delivered to a worker.
	Deliveries uint64          `json:"deliveries"`
	Command    RejectedCommand `json:"command"`
}

// RejectedCommand is the command as the log stored it.
type RejectedCommand struct {
	// Sequence is its sequence on the log, see Is.
	Sequence uint64              `json:"sequence"`
	Headers  map[string][]string `json:"headers"`
	// Body may be any bytes. It is base64 in JSON.
	Body []byte `json:"body"`
}

// Caller returns the caller that sent the command, or "" if no ingress wrote it.
func (c RejectedCommand) Caller() string {
	return CommandMessage{Header: c.Headers}.header(HeaderCaller)
}

// Is reports whether this is the command on the log, which may be a later attempt under the id. The sequence alone does not tell: a log
// that is created again begins with 1. The time alone does not either: an operator's retry keeps it.
func (c RejectedCommand) Is(logged LoggedCommand) bool {
	header, _ := CommandMessage{Header: c.Headers}.DecodeHeader() // zero if no ingress wrote the command
	return c.Sequence == logged.Sequence && header.AcceptedAt.Equal(logged.AcceptedAt)
}

// JSON returns the rejection as its stream stores it. Every message can be rejected: bytes that are not UTF-8 in its id or
// its headers become U+FFFD, even if two headers then have the same name.
func (r Rejection) JSON() ([]byte, error) {
	return json.Marshal(r, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
}

// ParseRejection parses the result of JSON. The errors quote no value: only the command has personal data.
func ParseRejection(body []byte) (Rejection, error) {
	var r Rejection
	err := json.Unmarshal(body, &r, jsontext.AllowDuplicateNames(true))
	WithoutValues(r.Errors)
	return r, err
}

// Status returns the final state of the rejected operation.
func (r Rejection) Status() OperationStatus {
	switch r.Reason {
	case CodeInvalid, CodeKeyReused, CodeErased:
		return OperationRejected
	default:
		return OperationFailed
	}
}
