package ingress

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/access"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"

	"github.com/google/uuid"
)

// getOperation is GET /api/v2/operations/{id}. It compares If-None-Match after the wait: a caller that has seen the pending operation
// waits for its outcome, and receives 304 if there is none in time.
func (a *api) getOperation(w http.ResponseWriter, r *http.Request, call access.Call) {
	id, err := domain.ParseID(r.PathValue("id"))
	if err != nil {
		problem.NotFound.Write(w, "there is no operation with this id")
		return
	}
	o := operation{id, r.URL.Query().Get("request")}
	waiter, err := a.newWaiter(w, r, id, call.ReleaseSlot)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer waiter.stop()
	op, _, err := a.lookUpTwice(r.Context(), call.Caller, o)
	for err == nil && op.Status == domain.OperationPending && waiter.next(r.Context()) {
		op, _, err = a.lookUpTwice(r.Context(), call.Caller, o)
	}
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		problem.NotFound.Write(w, "there is no operation with this id that you may read, or its outcome is no longer kept")
		return
	case err != nil:
		a.fail(w, r, domain.Errorf(domain.CodeUnavailable, "look up operation: %w", err))
		return
	}
	if op.Status == domain.OperationPending {
		w.Header().Set("Retry-After", "1")
	}
	a.respond(w, r, id, bodyOf(o, op))
}

// operationBody is an operation in responses.
type operationBody struct {
	ID          uuid.UUID              `json:"id"`
	Status      domain.OperationStatus `json:"status"`
	AcceptedAt  *time.Time             `json:"acceptedAt"`
	CompletedAt *time.Time             `json:"completedAt"`
	Errors      []domain.Violation     `json:"errors"`
	Links       links                  `json:"links"`
}

func bodyOf(o operation, op domain.Operation) operationBody {
	return operationBody{o.id, op.Status, known(op.AcceptedAt), known(op.CompletedAt), op.Errors, o.links()}
}

// lookUpTwice is lookUp for an operation that the first look-up can miss. Of several NATS servers, one may answer that is behind the
// others. And an operator's retry may be moving the command from the rejections back to the log: a look-up misses it in both places if
// it reads the log before the move and the rejections after it.
func (a *api) lookUpTwice(ctx context.Context, caller auth.Caller, o operation) (domain.Operation, *domain.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	op, client, err := a.lookUp(ctx, caller, o, reads{a.log.Find, a.log.Rejection})
	if domain.CodeOf(err) == domain.CodeNotFound {
		op, client, err = a.lookUp(ctx, caller, o, reads{a.log.FindLatest, a.log.RejectionLatest})
	}
	if err == nil && op.Status == domain.OperationPending && a.log.Completed(ctx, op.Sequence) {
		return a.lookUpCompleted(ctx, caller, o)
	}
	return op, client, err
}

// reads are how a look-up reads the log and the rejections.
type reads struct {
	find      func(context.Context, uuid.UUID) (domain.LoggedCommand, error)
	rejection func(context.Context, uuid.UUID) (domain.Rejection, error)
}

// lookUpCompleted is lookUp for an operation whose command is completed. If it has no outcome, the database or NATS has lost that, and
// lookUpCompleted asks a worker to process the command again.
func (a *api) lookUpCompleted(ctx context.Context, caller auth.Caller, o operation) (domain.Operation, *domain.Client, error) {
	op, client, err := a.lookUp(ctx, caller, o, reads{a.log.Find, a.log.RejectionLatest})
	if err != nil || op.Status != domain.OperationPending {
		return op, client, err
	}
	switch asked, err := a.log.ProcessAgain(ctx, o.id); {
	case err != nil:
		a.logger.Warn().Err(err).Stringer("id", o.id).Msg("the outcome of a completed command is lost; cannot ask a worker to process it again")
	case asked:
		a.logger.Warn().Stringer("id", o.id).Msg("the outcome of a completed command is lost; asked a worker to process it again")
	}
	return op, client, nil
}

// known returns nil for the zero time, which means unknown.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// visible returns the error of a look-up, or domain.CodeNotFound if the caller may not see what was found because this owner has sent
// it. An owner of "" is unknown.
func visible(caller auth.Caller, owner string, err error) error {
	if err != nil || owner == caller.Name || caller.May(auth.ScopeRead) {
		return err
	}
	return domain.Errorf(domain.CodeNotFound, "the operation belongs to another caller")
}

// lookUp returns the operation, and its client if that exists. It reads the log first: a command that leaves the log
// afterwards has its outcome by then, so the operation is found in any case.
//
// For a caller that may not see the operation, lookUp makes the same look-ups as for an unknown id, and returns the same error.
func (a *api) lookUp(ctx context.Context, caller auth.Caller, o operation, read reads) (domain.Operation, *domain.Client, error) {
	id := o.id
	op := domain.Operation{ID: id, Status: domain.OperationPending}
	command, err := read.find(ctx, id)
	err = visible(caller, command.Caller, err)
	pending := err == nil
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return op, nil, err
	}
	op.AcceptedAt, op.Sequence = command.AcceptedAt, command.Sequence

	// A client outranks a rejection with its id, because the row existed before another command with this id was rejected. It does not
	// for the request of that other command.
	client, err := a.clients.Get(ctx, id)
	err = visible(caller, cmp.Or(client.Caller, command.Caller), err) // a worker of version 0.1 stores no caller
	if err == nil && (o.request == "" || o.request == a.requestOf(id, client.Fingerprint)) {
		op.Status, op.AcceptedAt, op.CompletedAt = domain.OperationSucceeded, client.AcceptedAt, client.CreatedAt
		return op, &client, nil
	}
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return op, nil, err
	}
	rejection, err := read.rejection(ctx, id)
	err = visible(caller, rejection.Command.Caller(), err)
	if err == nil && pending && !rejection.Command.Is(command) {
		return op, nil, nil // it was rejected once, and is on the log again
	}
	if err == nil {
		op.Status, op.CompletedAt = rejection.Status(), rejection.RejectedAt
		op.Reason, op.Errors = rejection.Reason, rejection.Errors
		return op, nil, nil
	}
	if domain.CodeOf(err) == domain.CodeNotFound && pending {
		return op, nil, nil
	}
	return op, nil, err
}
