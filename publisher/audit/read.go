package audit

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher/reader"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// Filter selects records. The zero value selects all that exist.
type Filter struct {
	// Since and Until, where not zero, bound the time of the record; both are included.
	Since, Until time.Time
	// Follow continues with records that are written later. Without Since, it begins with the next one.
	Follow bool
	// Actor is the name, the credential or the id of the API key of an actor, or "".
	Actor  string
	Action domain.AuditAction
	Client uuid.UUID
}

func (f Filter) matches(r domain.AuditRecord) bool {
	return (f.Since.IsZero() || !r.Time.Before(f.Since)) && (f.Until.IsZero() || !r.Time.After(f.Until)) &&
		(f.Actor == "" || f.Actor == r.Actor.Name || f.Actor == r.Actor.Credential || f.Actor == r.Actor.KeyID) &&
		(f.Action == "" || f.Action == r.Action) &&
		(f.Client == uuid.Nil || f.Client == r.ClientID)
}

// clockSkew is how much earlier than its time a record can be on the stream. It is later by any time after a restore.
const clockSkew = time.Hour

// Read returns the records, oldest first. It stops after an error, which is a *streams.MissingError if the stream is missing.
func Read(ctx context.Context, js jetstream.JetStream, f Filter) iter.Seq2[domain.AuditRecord, error] {
	return func(yield func(domain.AuditRecord, error) bool) {
		cfg := reader.Config{Stream: domain.StreamAudit, Next: f.Follow && f.Since.IsZero(), UpToNow: !f.Follow}
		if !f.Since.IsZero() {
			cfg.Since = f.Since.Add(-clockSkew)
		}
		records, err := reader.Open(ctx, js, cfg)
		if err != nil {
			yield(domain.AuditRecord{}, err)
			return
		}
		defer records.Close()
		for {
			msg, err := records.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			record := domain.AuditRecord{}
			if err == nil {
				record, err = parse(msg)
			}
			if err != nil {
				yield(record, err)
				return
			}
			if f.matches(record) && !yield(record, nil) {
				return
			}
		}
	}
}

// parse returns the record of a message. Its action is that of the subject, whatever the body says: NATS has checked the right to it.
func parse(msg jetstream.Msg) (domain.AuditRecord, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return domain.AuditRecord{}, err
	}
	record, err := domain.ParseAuditRecord(msg.Data())
	if err != nil {
		record = domain.AuditRecord{Result: domain.AuditUnreadable, Time: meta.Timestamp.UTC()}
	}
	record.Action = domain.AuditAction(strings.TrimPrefix(msg.Subject(), domain.SubjectAudit))
	return record, nil
}
