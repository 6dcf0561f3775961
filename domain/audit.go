package domain

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// AuditAction is what somebody did, or was refused. It is the last token of the record's subject.
type AuditAction string

// The actions that the API records.
const (
	AuditClientRead AuditAction = "client_read"
	// AuditRefused is a request that was refused; the result is the reason.
	AuditRefused    AuditAction = "refused"
	AuditKeyAdded   AuditAction = "key_added"
	AuditKeyRevoked AuditAction = "key_revoked"
)

// The actions of operators.
const (
	AuditBackup         AuditAction = "backup"
	AuditClientFind     AuditAction = "client_find"
	AuditClientShow     AuditAction = "client_show"
	AuditErase          AuditAction = "erase"
	AuditEventsRead     AuditAction = "events_read"
	AuditExport         AuditAction = "export"
	AuditHold           AuditAction = "hold"
	AuditImport         AuditAction = "import"
	AuditMigrate        AuditAction = "migrate"
	AuditPause          AuditAction = "pause"
	AuditRejectionDrop  AuditAction = "rejection_drop"
	AuditRejectionRead  AuditAction = "rejection_read"
	AuditRejectionRetry AuditAction = "rejection_retry"
	AuditRedo           AuditAction = "redo"
	AuditRelease        AuditAction = "release"
	AuditReplay         AuditAction = "replay"
	AuditRestore        AuditAction = "restore"
	AuditResume         AuditAction = "resume"
	AuditSubscribe      AuditAction = "subscribe"
	AuditUnsubscribe    AuditAction = "unsubscribe"
)

// AuditResult is how an action ended, or the reason of a refusal.
type AuditResult string

// The results. An action that can fail half way has two records: one before it starts, one after it has ended.
const (
	AuditStarted   AuditResult = "started"
	AuditSucceeded AuditResult = "succeeded"
	AuditFailed    AuditResult = "failed"
	// AuditUnknown is an action that may have been carried out or not: the server did not respond.
	AuditUnknown AuditResult = "unknown"
	// AuditSkipped is an action that was not possible and changed nothing.
	AuditSkipped AuditResult = "skipped"
	// AuditUnreadable is a message on the audit stream that is not a record.
	AuditUnreadable AuditResult = "unreadable"
)

// AuditKind is the kind of an actor.
type AuditKind string

// The kinds of actors.
const (
	AuditCaller   AuditKind = "caller"   // of the API
	AuditOperator AuditKind = "operator" // of the command line or the console
	AuditProcess  AuditKind = "process"  // acts without a person, such as when it reads a changed keys file
)

// AuditActor is who acted. Without a name, a caller is unknown.
type AuditActor struct {
	Kind AuditKind `json:"kind"`
	// Name is the caller of a request, or the name of an operator as the command line states it.
	Name string `json:"name,omitzero"`
	// KeyID is the id of the caller's API key.
	KeyID string `json:"keyId,omitzero"`
	// Credential is the user of NATS with whose credential an operator acted.
	Credential string `json:"credential,omitzero"`
	// Host is the machine of an operator or a process.
	Host string `json:"host,omitzero"`
}

// AuditRecord is one record of the audit trail. It contains no data of a client but its id.
type AuditRecord struct {
	ID     uuid.UUID   `json:"id"`
	Time   time.Time   `json:"time"`
	Action AuditAction `json:"action"`
	Result AuditResult `json:"result"`
	Actor  AuditActor  `json:"actor"`
	// ClientID is the client that the action is about, or zero.
	ClientID uuid.UUID `json:"clientId,omitzero"`
	// Target is what else it is about: the id and the name of an API key, or the name of a consumer.
	Target string `json:"target,omitzero"`
	// Address is the remote IP address of a request.
	Address string `json:"address,omitzero"`
	// Count is the number of requests, events or rows; 0 for an action that has none.
	Count int64 `json:"count,omitzero"`
}

// Subject returns the subject of the record.
func (r AuditRecord) Subject() string { return SubjectAudit + string(r.Action) }

// JSON returns the record as the audit stream and the audit log have it, without a newline.
func (r AuditRecord) JSON() ([]byte, error) { return json.Marshal(r, json.Deterministic(true)) }

// ParseAuditRecord parses the result of JSON.
func ParseAuditRecord(body []byte) (AuditRecord, error) {
	var r AuditRecord
	err := json.Unmarshal(body, &r)
	return r, err
}
