package domain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The streams, named for the messages that they store.
const (
	StreamCommands   = "CLIENT_COMMANDS"
	StreamEvents     = "CLIENT_EVENTS"
	StreamRejections = "CLIENT_REJECTIONS"
	StreamAudit      = "CLIENT_AUDIT"
	// StreamSubscriptions has the state of subscribers that NATS does not keep with their consumers.
	StreamSubscriptions = "CLIENT_SUBSCRIPTIONS"
	StreamWebhooks      = "KV_CLIENT_WEBHOOKS" // the key-value bucket CLIENT_WEBHOOKS
)

// RejectionRetention is how long a rejection is kept, on its stream and in the database.
const RejectionRetention = 90 * 24 * time.Hour

// The subjects. An id follows each one that ends in a dot. A sync is a message on the command log: its acknowledgement means that
// every earlier message is on disk. If its body is the id of a command, a worker processes that completed command again, because its
// outcome was lost. Workers ignore other syncs.
const (
	SubjectCreate   = "client.create."
	SubjectCreated  = "client.created"
	SubjectErased   = "client.erased"
	SubjectRejected = "client.rejected."
	SubjectSync     = "client.sync."
	SubjectAudit    = "client.audit." // followed by an AuditAction
	// SubjectUndelivered is followed by the name of a subscriber and the sequence of an event, SubjectPosition by the name.
	SubjectUndelivered = "client.undelivered."
	SubjectPosition    = "client.position."
	// SubjectCompleted carries an empty message, at most once, when the outcome of a command is on disk. No stream stores it.
	SubjectCompleted = "operation.completed."
)

// ConsumerWorker is the durable consumer of the command stream that all workers share.
const ConsumerWorker = "worker"

// The headers of a command.
const (
	HeaderFingerprint = "Clientele-Fingerprint"
	HeaderCaller      = "Clientele-Caller"
	HeaderKeyID       = "Clientele-Key-Id"      // absent if the caller has no API key
	HeaderAcceptedAt  = "Clientele-Accepted-At" // RFC 3339
	HeaderRules       = "Clientele-Rules"       // absent means 1, see Rules
)

// MaxCaller is the largest length in bytes of a caller, and of the id of an API key. An ingress of any version writes at most 260: the
// prefix of a token's subject, and the 255 bytes that OpenID Connect allows. The index of PostgreSQL has callers up to this length, see
// migration 7.
const MaxCaller = 512

// HeaderTraceparent names the trace of a command or an event (W3C Trace Context, section 3.2). It is optional.
const HeaderTraceparent = "traceparent"

// CommandMessage is a command as the command log stores it. Header names are case-sensitive, as in NATS.
type CommandMessage struct {
	Subject string
	Header  map[string][]string
	Body    []byte
}

// EncodeCommand returns the message of a command. A traceparent of "" adds no header.
func EncodeCommand(c CreateClient, traceparent string) CommandMessage {
	m := CommandMessage{
		Subject: SubjectCreate + c.ID.String(),
		Header: map[string][]string{
			HeaderFingerprint: {c.Fingerprint.String()},
			HeaderCaller:      {c.Caller},
			HeaderAcceptedAt:  {c.AcceptedAt.Format(time.RFC3339Nano)},
			HeaderRules:       {strconv.Itoa(Rules)},
		},
		Body: c.Body,
	}
	if c.KeyID != "" {
		m.Header[HeaderKeyID] = []string{c.KeyID}
	}
	if traceparent != "" {
		m.Header[HeaderTraceparent] = []string{traceparent}
	}
	return m
}

// CommandHeader has the values of a command's headers.
type CommandHeader struct {
	Fingerprint Fingerprint
	Caller      string
	KeyID       string
	AcceptedAt  time.Time
}

// Decode returns the command of a message. Other programs may publish to the command log, so Decode is as strict as Parse.
// It compares dates with the time at which the command was accepted, so the result does not depend on the clock. An error has
// CodeNewer if this program does not know the rules of the command, CodeUndecodable, or CodeInvalid with the violations.
func (m CommandMessage) Decode() (CreateClient, error) {
	if m.IsNewer() {
		return CreateClient{}, Errorf(CodeNewer, "header %s is newer than %d", HeaderRules, Rules)
	}
	command, err := m.decode()
	if err != nil && CodeOf(err) != CodeInvalid {
		return CreateClient{}, &Error{Code: CodeUndecodable, Err: err}
	}
	return command, err
}

func (m CommandMessage) decode() (CreateClient, error) {
	token := strings.TrimPrefix(m.Subject, SubjectCreate)
	id, err := ParseID(token)
	if err != nil {
		return CreateClient{}, err
	}
	if token != id.String() { // the log refuses a second command by its subject: one id must have one subject
		return CreateClient{}, errors.New("the id in the subject is not in lower case")
	}
	header, err := m.DecodeHeader()
	if err != nil {
		return CreateClient{}, err
	}
	if _, err := m.rules(); err != nil {
		return CreateClient{}, err
	}
	// When rules become stricter, this is the place to apply those of the command's version: what was accepted must be stored.
	details, err := Parse(m.Body, header.AcceptedAt)
	if err != nil {
		return CreateClient{}, err
	}
	command, err := NewCreateClient(id, header.Caller, header.AcceptedAt, details)
	if err != nil {
		return CreateClient{}, err
	}
	command.KeyID = header.KeyID
	if command.Fingerprint != header.Fingerprint {
		return CreateClient{}, errors.New("header " + HeaderFingerprint + " does not match the body")
	}
	return command, nil
}

// rules returns the version of the rules under which the command was accepted. A command of release 0.1 does not state it.
func (m CommandMessage) rules() (int, error) {
	value := m.header(HeaderRules)
	if value == "" {
		return 1, nil
	}
	version, err := strconv.Atoi(value)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("header %s is not a version", HeaderRules)
	}
	return version, nil
}

// IsNewer reports whether the command was accepted under rules that this program does not know. Leave it to a newer one.
func (m CommandMessage) IsNewer() bool {
	version, err := m.rules()
	return err == nil && version > Rules
}

// DecodeHeader returns the values of the headers. It does not read the body.
func (m CommandMessage) DecodeHeader() (CommandHeader, error) {
	fingerprint, err := ParseFingerprint(m.header(HeaderFingerprint))
	if err != nil {
		return CommandHeader{}, err
	}
	acceptedAt, err := ParseTimestamp(m.header(HeaderAcceptedAt))
	if err != nil {
		return CommandHeader{}, fmt.Errorf("header %s %w", HeaderAcceptedAt, err)
	}
	header := CommandHeader{Fingerprint: fingerprint, Caller: m.header(HeaderCaller), KeyID: m.header(HeaderKeyID), AcceptedAt: acceptedAt}
	if !IsCaller(header.Caller) || !IsCaller(header.KeyID) { // a database may refuse it
		return CommandHeader{}, fmt.Errorf("header %s or %s is not printable ASCII of up to %d bytes", HeaderCaller, HeaderKeyID, MaxCaller)
	}
	return header, nil
}

// IsCaller reports whether the string is printable ASCII of at most MaxCaller bytes, as the callers and key ids of every ingress are.
func IsCaller(s string) bool {
	return len(s) <= MaxCaller && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// header returns the first value of a header, or "".
func (m CommandMessage) header(name string) string { return first(m.Header, name) }

func first(header map[string][]string, name string) string {
	if values := header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// LoggedCommand describes a command on the command log.
type LoggedCommand struct {
	// The header is zero if no ingress wrote the command.
	CommandHeader
	// Sequence is its sequence on the log.
	Sequence uint64
}
