// Package workers pauses and resumes all workers of an installation, and records that. The pause is a state of the consumer that they
// share: its server delivers nothing until the end of the pause. So each worker of each version obeys, those that start later too. The
// state survives a restart of the server, a migration, and a backup with its restore.
package workers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// Paused is a pause of the workers.
type Paused struct {
	Until time.Time `json:"until"`
	// RemainingSeconds is how long it lasts, by the clock of the server.
	RemainingSeconds float64 `json:"remainingSeconds"`
	// Operator and Reason are those of the audit trail. Both are "" if another program has paused the consumer.
	Operator string `json:"operator,omitzero"`
	Reason   string `json:"reason,omitzero"`
}

// PausedOf returns the pause of the workers, whose consumer has this state, or nil if they are not paused.
func PausedOf(ctx context.Context, js jetstream.JetStream, consumer *jetstream.ConsumerInfo) *Paused {
	if !consumer.Paused {
		return nil
	}
	p := &Paused{Until: end(consumer), RemainingSeconds: consumer.PauseRemaining.Seconds()}
	trail, err := js.Stream(ctx, domain.StreamAudit)
	if err != nil {
		return p // its reason is not worth an error
	}
	msg, err := trail.GetLastMsgForSubject(ctx, domain.SubjectAudit+string(domain.AuditPause))
	if err != nil {
		return p
	}
	record, err := domain.ParseAuditRecord(msg.Data)
	if err != nil {
		return p
	}
	if reason, ok := reasonOf(record, p.Until); ok {
		p.Operator, p.Reason = record.Actor.Name, reason
	}
	return p
}

// target returns the text of an audit record about a pause. reasonOf is its inverse.
func target(until time.Time, reason string) string {
	return strings.TrimSpace(until.Format(time.RFC3339) + " " + reason)
}

// reasonOf returns the reason of a pause with this end, or "" if the record is about another one.
func reasonOf(record domain.AuditRecord, until time.Time) (reason string, ok bool) {
	at, reason, _ := strings.Cut(record.Target, " ")
	return reason, at == until.Format(time.RFC3339)
}

// look returns the state of the consumer that all workers share.
func look(ctx context.Context, js jetstream.JetStream) (*jetstream.ConsumerInfo, error) {
	consumer, err := js.Consumer(ctx, domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		return nil, wrap("look up", err)
	}
	return consumer.CachedInfo(), nil
}

// end returns the end of a pause, or the zero time if there was none.
func end(consumer *jetstream.ConsumerInfo) time.Time {
	if consumer.Config.PauseUntil == nil {
		return time.Time{}
	}
	return consumer.Config.PauseUntil.UTC()
}

func wrap(doing string, err error) error {
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		err = fmt.Errorf("%w: restore it, or run clientele migrate", err)
	}
	return fmt.Errorf("%s consumer %s: %w", doing, domain.ConsumerWorker, err)
}
