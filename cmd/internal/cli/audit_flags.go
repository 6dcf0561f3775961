package cli

import (
	"cmp"
	"context"
	"fmt"
	"os/user"
	"strings"
	"time"
	"unicode/utf8"

	"clientele/domain"
	"clientele/publisher/audit"
	"clientele/publisher/ingress/auth"

	"github.com/nats-io/nats.go"
)

// auditLogFlag names the copy of the audit trail in a file.
type auditLogFlag struct {
	AuditLog string `type:"path" predictor:"file" placeholder:"FILE" help:"File to which each record of the audit trail is appended as a line of JSON. If it cannot be written, actions that must be recorded are refused."`
}

func (f auditLogFlag) operator() audit.Operator {
	return audit.Operator{File: f.AuditLog, Name: loginName()}
}

// auditFlags are the flags of an operator's commands that are recorded in the audit trail.
type auditFlags struct {
	Operator     operatorName `placeholder:"NAME" help:"Your name in the audit trail; by default your login name."`
	auditLogFlag `embed:""`
}

func (f auditFlags) operator() audit.Operator {
	return audit.Operator{File: f.AuditLog, Name: cmp.Or(string(f.Operator), loginName())}
}

// recorder returns what records the actions of the operator who uses this connection.
func (f auditFlags) recorder(ctx context.Context, nc *nats.Conn) (*audit.Recorder, error) {
	return f.operator().Open(ctx, nc)
}

// record records an action, such as a read, before it is carried out.
func (f auditFlags) record(ctx context.Context, nc *nats.Conn, record domain.AuditRecord) error {
	trail, err := f.recorder(ctx, nc)
	if err != nil {
		return err
	}
	return trail.Record(ctx, record)
}

// act records the start and the end of an action, see audit.Recorder.Act.
func (f auditFlags) act(ctx context.Context, nc *nats.Conn, record domain.AuditRecord, do func() error) error {
	trail, err := f.recorder(ctx, nc)
	if err != nil {
		return err
	}
	return trail.Act(ctx, record, func(*domain.AuditRecord) error { return do() })
}

// recordInFile records an action of a command without a connection to NATS: in the audit log only, if there is one.
func (f auditFlags) recordInFile(record domain.AuditRecord) error {
	id, err := domain.NewID()
	if err != nil {
		return err
	}
	record.ID, record.Time, record.Actor = id, domain.Timestamp(time.Now()), f.operator().Actor(nil)
	if err := audit.File(f.AuditLog).Append(record); err != nil {
		return &audit.NotRecordedError{Err: err}
	}
	return nil
}

// recordKey records a change of a keys file. Processes that use it record the change on the stream when they read the file.
func (f auditFlags) recordKey(action domain.AuditAction, key auth.Key) error {
	return f.recordInFile(domain.AuditRecord{Action: action, Result: domain.AuditStarted, Target: key.ID + " " + key.Name})
}

// maxRemark is the maximum number of characters in the reason and in the operator's name.
const maxRemark = 200

// operatorName is the flag of an operator's name.
type operatorName string

// UnmarshalText checks the name.
func (n *operatorName) UnmarshalText(text []byte) error {
	*n = operatorName(text)
	return checkRemark(string(text))
}

func checkRemark(text string) error {
	if utf8.RuneCountInString(text) > maxRemark || !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) {
		return fmt.Errorf("must be at most %d printable characters", maxRemark)
	}
	return nil
}

// loginName returns the name under which the operating system knows the operator, or "".
func loginName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
