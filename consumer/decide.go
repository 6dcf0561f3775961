package consumer

import (
	"errors"
	"fmt"
	"strings"

	"clientele/domain"
)

// verdict is what becomes of a command: its client's event is published, or, with a reason, the command is rejected.
type verdict struct {
	client     domain.Client
	reason     domain.Code
	violations []domain.Violation
}

// decide turns what the store found into a verdict. A replayed client gets its event again: whether the first attempt
// came to publish it, nobody knows.
func decide(result domain.CreateResult) verdict {
	if result.Outcome == domain.Conflict {
		return reject(domain.Errorf(domain.CodeKeyReused, "a client made from a different command has this id"))
	}
	return verdict{client: result.Client}
}

// reject turns an error with a code into a verdict.
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

// decode reads a command from the log. Whoever has the right may publish there, so it is checked as strictly as a
// request; against the time at which it was accepted, so that no clock changes the answer. An error has
// domain.CodeUndecodable, or domain.CodeInvalid with the violations.
func decode(subject string, header func(string) string, body []byte) (domain.CreateClient, error) {
	undecodable := func(err error) (domain.CreateClient, error) {
		return domain.CreateClient{}, &domain.Error{Code: domain.CodeUndecodable, Err: err}
	}
	token := strings.TrimPrefix(subject, domain.SubjectCreate)
	id, err := domain.ParseID(token)
	if err != nil {
		return undecodable(err)
	}
	if token != id.String() { // one id has one subject, on which the log refuses a second command
		return undecodable(errors.New("the id in the subject is not in lower case"))
	}
	fingerprint, err := domain.ParseFingerprint(header(domain.HeaderFingerprint))
	if err != nil {
		return undecodable(err)
	}
	acceptedAt, err := domain.ParseTimestamp(header(domain.HeaderAcceptedAt))
	if err != nil {
		return undecodable(fmt.Errorf("header %s %w", domain.HeaderAcceptedAt, err))
	}
	details, err := domain.Parse(body, acceptedAt)
	if domain.CodeOf(err) == domain.CodeInvalid {
		return domain.CreateClient{}, err
	}
	if err != nil {
		return undecodable(err)
	}
	command, err := domain.NewCreateClient(id, header(domain.HeaderCaller), acceptedAt, details)
	if err != nil {
		return undecodable(err)
	}
	if command.Fingerprint != fingerprint {
		return undecodable(errors.New("header " + domain.HeaderFingerprint + " is not that of the body"))
	}
	return command, nil
}
