package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// holdFlag is the last day of a legal hold, or lifts a hold.
type holdFlag struct {
	lastDay time.Time
	lifts   bool
}

// UnmarshalText parses the flag.
func (f *holdFlag) UnmarshalText(text []byte) (err error) {
	if f.lifts = string(text) == "none"; f.lifts {
		return nil
	}
	f.lastDay, err = time.Parse(time.DateOnly, string(text))
	if err != nil || f.lastDay.Before(time.Now().UTC().Truncate(24*time.Hour)) {
		return errors.New("must be today or a later day, as YYYY-MM-DD, or none")
	}
	return nil
}

// action returns the action that the audit trail records.
func (f holdFlag) action() domain.AuditAction {
	if f.lifts {
		return domain.AuditRelease
	}
	return domain.AuditHold
}

func (f holdFlag) isSet() bool { return f.lifts || !f.lastDay.IsZero() }

// hold records or lifts legal holds. It returns the ids for which it did so.
func (x eraser) hold(e env, flag holdFlag, ids []uuid.UUID) (done []uuid.UUID, err error) {
	one, verb := x.lift(e), "released"
	if !flag.lifts {
		missing, err := x.withoutData(e, ids)
		if err != nil {
			return nil, err
		}
		one, verb = x.record(e, flag, missing), "held"
	}
	var failures []error
	for _, id := range ids {
		failure, err := one(id)
		switch {
		case err != nil:
			return done, fmt.Errorf("%w; run this again", err)
		case failure != nil:
			failures = append(failures, failure)
		default:
			done = append(done, id)
		}
	}
	if len(done) > 0 {
		fmt.Fprintf(e.stdout, "%s %s", verb, strings.TrimPrefix(clientsNamed(done), "client "))
		if !flag.lifts {
			fmt.Fprintf(e.stdout, " up to %s", flag.lastDay.Format(time.DateOnly))
		}
		fmt.Fprintln(e.stdout)
	}
	return done, failed(e, failures, verb, len(done), ids)
}

// record returns a function that records the hold of a client. The function returns why it did not, or an error.
func (x eraser) record(e env, flag holdFlag, missing map[uuid.UUID]bool) func(uuid.UUID) (failure, err error) {
	return func(id uuid.UUID) (failure, err error) {
		if missing[id] {
			return fmt.Errorf("no data about %s was found: it is not held", id), nil
		}
		err = x.clients.Hold(e.ctx, domain.NewHold(id, flag.lastDay, time.Now(), x.reason, x.operator))
		if domain.CodeOf(err) == domain.CodeErased {
			return fmt.Errorf("client %s was erased: it is not held", id), nil
		}
		return nil, err
	}
}

// lift is record for the end of a hold.
func (x eraser) lift(e env) func(uuid.UUID) (failure, err error) {
	return func(id uuid.UUID) (failure, err error) {
		held, err := x.clients.Release(e.ctx, id)
		if err == nil && !held {
			return fmt.Errorf("client %s is under no legal hold", id), nil
		}
		return nil, err
	}
}

// withoutData returns those ids of which there is neither a row nor a message: a hold of a mistyped id would protect nothing.
func (x eraser) withoutData(e env, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	missing := map[uuid.UUID]bool{}
	for _, id := range ids {
		_, err := x.clients.Get(e.ctx, id)
		if domain.CodeOf(err) == domain.CodeNotFound {
			missing[id] = true
		} else if err != nil {
			return nil, err
		}
	}
	if len(missing) == 0 {
		return missing, nil
	}
	found, err := x.withMessages(e, func(id uuid.UUID) bool { return missing[id] })
	for id := range found {
		delete(missing, id)
	}
	return missing, err
}
