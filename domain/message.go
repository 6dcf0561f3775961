package domain

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// The streams, by the messages that they keep.
const (
	StreamCommands   = "CLIENT_COMMANDS"
	StreamEvents     = "CLIENT_EVENTS"
	StreamRejections = "CLIENT_REJECTIONS"
)

// The subjects. A command and a rejection have one each per id: the id is the last token. So has a sync, an empty message on
// the command log: its acknowledgement says that all before it is on disk. It tells a worker nothing.
const (
	SubjectCreate   = "client.create."
	SubjectCreated  = "client.created"
	SubjectErased   = "client.erased"
	SubjectRejected = "client.rejected."
	SubjectSync     = "client.sync."
	// SubjectCompleted carries an empty message, at most once, when the outcome of a command is on disk. No stream stores it.
	SubjectCompleted = "operation.completed."
)

// ConsumerWorker is the durable consumer of the command stream that all workers share.
const ConsumerWorker = "worker"

// The headers of a command.
const (
	HeaderFingerprint = "Clientele-Fingerprint"
	HeaderCaller      = "Clientele-Caller"
	HeaderAcceptedAt  = "Clientele-Accepted-At" // RFC 3339
)

// HeaderTraceparent is the trace that a command or an event belongs to (W3C Trace Context, section 3.2), if it does.
const HeaderTraceparent = "traceparent"

// Event is client.created: the record of a client that is now in the store.
type Event struct {
	// ID is the same each time the event of a client is published; subscribers tell repetitions by it.
	ID     uuid.UUID
	Client Client
	// Body is the record as JSON.
	Body []byte
	// Traceparent is what HeaderTraceparent should be, or "". It is no part of the event: repetitions differ in it.
	Traceparent string
}

// NewEvent returns the event of a client. Equal clients give equal events.
func NewEvent(c Client) (Event, error) {
	body, err := c.JSON()
	if err != nil {
		return Event{}, err
	}
	return Event{ID: uuid.NewSHA1(c.ID, []byte(SubjectCreated)), Client: c, Body: body}, nil
}

// ErasedID returns the id of the event that tells that a client was erased. It is the same each time.
func ErasedID(client uuid.UUID) uuid.UUID { return uuid.NewSHA1(client, []byte(SubjectErased)) }

// LoggedCommand is what the command log tells of a command.
type LoggedCommand struct {
	// AcceptedAt and Fingerprint are zero where no ingress wrote the command.
	AcceptedAt  time.Time
	Fingerprint Fingerprint
	// Sequence is its place on the log.
	Sequence uint64
}

// Rejection says why a command will never become a client. It is the event of that, the dead letter with the command in
// it, and the operation's outcome in one.
type Rejection struct {
	// ID is the last token of the command's subject: a UUID in every command of an ingress.
	ID         string      `json:"id"`
	Reason     Code        `json:"reason"`
	Errors     []Violation `json:"errors"`
	RejectedAt time.Time   `json:"rejectedAt"`
	// Deliveries is how often the command had been delivered to a worker.
	Deliveries uint64          `json:"deliveries"`
	Command    RejectedCommand `json:"command"`
}

// RejectedCommand is the command as it stood on the log.
type RejectedCommand struct {
	// Sequence is the place that it had on the log: what comes under its id later has a greater one.
	Sequence uint64              `json:"sequence"`
	Headers  map[string][]string `json:"headers"`
	// Body is in base64 in JSON, for it may be anything.
	Body []byte `json:"body"`
}

// JSON returns the rejection as its stream keeps it. Every command can be rejected, whoever wrote it: what is not UTF-8
// in its id or its headers becomes U+FFFD, even where that makes two headers one.
func (r Rejection) JSON() ([]byte, error) {
	return json.Marshal(r, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
}

// ParseRejection reads what JSON wrote.
func ParseRejection(body []byte) (Rejection, error) {
	var r Rejection
	err := json.Unmarshal(body, &r, jsontext.AllowDuplicateNames(true))
	return r, err
}

// Operation is how far a command has come.
type Operation struct {
	ID     uuid.UUID
	Status OperationStatus
	// AcceptedAt is zero where it is not known any more.
	AcceptedAt time.Time
	// CompletedAt is zero while the operation is pending.
	CompletedAt time.Time
	// Reason and Errors are why it was rejected.
	Reason Code
	Errors []Violation
}

// OperationStatus is the state of an Operation.
type OperationStatus string

// The states of an operation. All but the first are final.
const (
	OperationPending   OperationStatus = "pending"
	OperationSucceeded OperationStatus = "succeeded"
	// OperationRejected is for the caller to mend, OperationFailed for the operator.
	OperationRejected OperationStatus = "rejected"
	OperationFailed   OperationStatus = "failed"
)

// Status returns the state that a rejection leaves its operation in.
func (r Rejection) Status() OperationStatus {
	switch r.Reason {
	case CodeInvalid, CodeKeyReused:
		return OperationRejected
	default:
		return OperationFailed
	}
}

// CreateResult is what became of one client handed to a store.
type CreateResult struct {
	Outcome CreateOutcome
	// Client is what the store holds under the id: the one handed in if it was Created, else the one that was there.
	Client Client
}

// CreateOutcome says what a store found under a client's id.
type CreateOutcome int

const (
	// Created is a client that was not there before.
	Created CreateOutcome = iota + 1
	// Replayed is a client that was there, from a command with the same fingerprint.
	Replayed
	// Conflict is a client that was there, from a command with another fingerprint. It stays as it was.
	Conflict
)
