package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/audit"
	"clientele/store"

	"github.com/google/uuid"
)

// eraser erases and holds clients.
type eraser struct {
	clients store.Store
	streams *publisher.Admin
	trail   *audit.Recorder
	// reason and operator are recorded with each erasure and each hold.
	reason, operator string
}

// recorded records the start of an action on clients, carries it out, and records its end. do returns the ids for which it is done.
func (x eraser) recorded(e env, action domain.AuditAction, ids []uuid.UUID, do func() ([]uuid.UUID, error)) error {
	records := make([]domain.AuditRecord, len(ids))
	for i, id := range ids {
		records[i] = domain.AuditRecord{Action: action, Result: domain.AuditStarted, ClientID: id}
	}
	if err := x.trail.Record(e.ctx, records...); err != nil {
		return err
	}
	done, err := do()
	for i, id := range ids {
		records[i].Result = domain.AuditFailed
		if slices.Contains(done, id) {
			records[i].Result = domain.AuditSucceeded
		}
	}
	return x.trail.End(e.ctx, err, records...)
}

// clientsNamed returns the id of one client, or the number of several.
func clientsNamed(ids []uuid.UUID) string {
	if len(ids) == 1 {
		return "client " + ids[0].String()
	}
	return countOf(len(ids), "client")
}

// erase deletes the rows before the messages: a reader of the events can then look up no more than they contain. It returns the ids
// that it has erased completely.
func (x eraser) erase(e env, ids []uuid.UUID) (complete []uuid.UUID, err error) {
	gone, existed, failures, err := x.eraseRows(e, ids)
	if err != nil {
		return nil, err
	}
	erased, err := x.streams.Erase(e.ctx, gone)
	if err != nil {
		return nil, fmt.Errorf("the rows are erased, but not all messages: run this again: %w", err)
	}
	var rows int
	var sum publisher.Erased
	var found []uuid.UUID
	for i, id := range gone {
		if !existed[id] && erased[i] == (publisher.Erased{}) {
			failures = append(failures, fmt.Errorf("no data about %s was found; %s was published anyway", id, domain.SubjectErased))
			continue
		}
		found = append(found, id)
		if existed[id] {
			rows++
		}
		sum.Commands += erased[i].Commands
		sum.Rejections += erased[i].Rejections
		sum.Events += erased[i].Events
	}
	if len(found) > 0 {
		fmt.Fprintf(e.stdout, "erased %s: rows %d, commands %d, rejections %d, events %d; published %s\n",
			strings.TrimPrefix(clientsNamed(found), "client "), rows, sum.Commands, sum.Rejections, sum.Events, domain.SubjectErased)
	}
	return gone, failed(e, failures, "erased", len(found), ids)
}

// eraseRows deletes the rows and stores the tombstones. It returns the ids for which it did so, those that had a row, and why it left
// out the others.
func (x eraser) eraseRows(e env, ids []uuid.UUID) (gone []uuid.UUID, existed map[uuid.UUID]bool, failures []error, err error) {
	existed = map[uuid.UUID]bool{}
	for _, id := range ids {
		pending, err := x.streams.Pending(e.ctx, id)
		if err != nil {
			return nil, nil, nil, err
		}
		if pending {
			failures = append(failures, fmt.Errorf("the operation of client %s is pending: nothing was erased, run this again when it has completed", id))
			continue
		}
		existed[id], err = x.clients.Erase(e.ctx, id, domain.NewErasure(id, time.Now(), x.reason, x.operator))
		if held, ok := errors.AsType[*store.HeldError](err); ok {
			failures = append(failures, fmt.Errorf("client %s is under legal hold up to %s: nothing was erased; to lift the hold, run clientele erase %s --legal-hold none",
				id, held.Hold.Until(), id))
			continue
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%w; run this again", err)
		}
		gone = append(gone, id)
	}
	return gone, existed, failures, nil
}

// failed returns an error if there are failures. With several ids, it prints them and returns how many are done.
func failed(e env, failures []error, verb string, done int, ids []uuid.UUID) error {
	if len(failures) > 0 && len(ids) > 1 {
		fmt.Fprintln(e.stderr, errors.Join(failures...))
		return fmt.Errorf("%s %d of %s", verb, done, clientsNamed(ids))
	}
	return errors.Join(failures...)
}
