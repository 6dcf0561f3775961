package consumer

import (
	"errors"

	"clientele/domain"
)

// verdict is the decision on a command: publish the event of its client, or, with a reason, reject the command.
type verdict struct {
	event      domain.Event
	reason     domain.Code
	violations []domain.Violation
}

// decide returns the verdict for the result of a store. The event of a replayed client is published again: an earlier
// attempt may have stopped before it published the event.
func decide(result domain.CreateResult) verdict {
	switch result.Outcome {
	case domain.Conflict:
		return reject(domain.Errorf(domain.CodeKeyReused, "a client created from a different command has this id"))
	case domain.Erased:
		return reject(domain.Errorf(domain.CodeErased, "the client with this id was erased"))
	case domain.Created, domain.Replayed:
	}
	event, err := domain.NewEvent(result.Client)
	if err != nil {
		return reject(domain.Errorf(domain.CodeUndecodable, "the event cannot be encoded: %w", err))
	}
	return verdict{event: event}
}

// reject returns the verdict for an error with a code.
func reject(err error) verdict {
	v := verdict{reason: domain.CodeOf(err)}
	if e, ok := errors.AsType[*domain.Error](err); ok {
		v.violations = e.Violations
	}
	if v.violations == nil {
		v.violations = []domain.Violation{{Detail: err.Error()}}
	}
	return v
}
