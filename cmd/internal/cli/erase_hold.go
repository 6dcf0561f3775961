package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"clientele/domain"
	"clientele/publisher"
	"clientele/store"

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

func (f holdFlag) isSet() bool { return f.lifts || !f.lastDay.IsZero() }

// holdFacts describe a legal hold.
type holdFacts struct {
	Until    string    `json:"until"`
	HeldAt   time.Time `json:"heldAt"`
	Reason   string    `json:"reason"`
	Operator string    `json:"operator"`
}

// activeHold returns the hold that counts now, or nil.
func activeHold(marks store.Marks) *holdFacts {
	held, ok := errors.AsType[*store.HeldError](marks.Refuse(time.Now()))
	if !ok {
		return nil
	}
	return &holdFacts{held.Hold.Until(), held.Hold.HeldAt, held.Hold.Reason, held.Hold.Operator}
}

// hold records or lifts legal holds.
func (c *eraseCmd) hold(e env, ids []uuid.UUID, clients store.Store, streams *publisher.Admin) error {
	one, verb := c.lift(e, clients), "released"
	if !c.LegalHold.lifts {
		missing, err := withoutData(e, ids, clients, streams)
		if err != nil {
			return err
		}
		one, verb = c.record(e, missing, clients), "held"
	}
	var done []uuid.UUID
	var failures []error
	for _, id := range ids {
		failure, err := one(id)
		switch {
		case err != nil:
			return fmt.Errorf("%w; run this again", err)
		case failure != nil:
			failures = append(failures, failure)
		default:
			done = append(done, id)
		}
	}
	if len(done) > 0 {
		fmt.Fprintf(e.stdout, "%s %s", verb, strings.TrimPrefix(clientsNamed(done), "client "))
		if !c.LegalHold.lifts {
			fmt.Fprintf(e.stdout, " up to %s", c.LegalHold.lastDay.Format(time.DateOnly))
		}
		fmt.Fprintln(e.stdout)
	}
	return failed(e, failures, verb, len(done), ids)
}

// record returns a function that records the hold of a client. The function returns why it did not, or an error.
func (c *eraseCmd) record(e env, missing map[uuid.UUID]bool, clients store.Store) func(uuid.UUID) (failure, err error) {
	return func(id uuid.UUID) (failure, err error) {
		if missing[id] {
			return fmt.Errorf("no data about %s was found: it is not held", id), nil
		}
		err = clients.Hold(e.ctx, domain.NewHold(id, c.LegalHold.lastDay, time.Now(), c.Reason, c.operator()))
		if domain.CodeOf(err) == domain.CodeErased {
			return fmt.Errorf("client %s was erased: it is not held", id), nil
		}
		return nil, err
	}
}

// lift is record for the end of a hold.
func (c *eraseCmd) lift(e env, clients store.Store) func(uuid.UUID) (failure, err error) {
	return func(id uuid.UUID) (failure, err error) {
		held, err := clients.Release(e.ctx, id)
		if err == nil && !held {
			return fmt.Errorf("client %s is under no legal hold", id), nil
		}
		return nil, err
	}
}

// withoutData returns those ids of which there is neither a row nor a message: a hold of a mistyped id would protect nothing.
func withoutData(e env, ids []uuid.UUID, clients store.Store, streams *publisher.Admin) (map[uuid.UUID]bool, error) {
	missing := map[uuid.UUID]bool{}
	for _, id := range ids {
		_, err := clients.Get(e.ctx, id)
		if domain.CodeOf(err) == domain.CodeNotFound {
			missing[id] = true
		} else if err != nil {
			return nil, err
		}
	}
	if len(missing) == 0 {
		return missing, nil
	}
	found, err := withMessages(e, streams, func(id uuid.UUID) bool { return missing[id] })
	for id := range found {
		delete(missing, id)
	}
	return missing, err
}
