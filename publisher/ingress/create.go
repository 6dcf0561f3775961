package ingress

import (
	"context"
	"net/http"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"

	"github.com/google/uuid"
)

// create is POST /api/v2/clients.
func (a *api) create(w http.ResponseWriter, r *http.Request, call call) {
	now := time.Now()
	key, err := request.Key(r.Header)
	if err != nil {
		problem.IdempotencyKey.Write(w, err.Error())
		return
	}
	body, ok := request.Body(w, r)
	if !ok {
		return
	}
	details, err := domain.Parse(body, now)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	caller := call.caller.Name
	id, err := a.commandID(caller, key)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	command, err := domain.NewCreateClient(id, caller, now, details)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	command.KeyID = call.caller.KeyID
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	waiter, err := a.newWaiter(w, r, id, call.releaseSlot)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer waiter.stop()
	accepted, err := a.accept(ctx, command, key != "")
	if err != nil {
		a.failCommand(w, r, accepted.operation, err)
		return
	}
	if waiter.waits() {
		if accepted.client != nil {
			created(w, *accepted.client)
			return
		}
		if a.createCompleted(w, r, waiter, call.caller, command, key != "") {
			return
		}
	}
	if accepted.again(command) {
		a.repair(ctx, call.caller, accepted.operation)
	}
	w.Header().Set("Location", accepted.operation.path())
	w.Header().Set("Retry-After", "1")
	problem.WriteJSON(w, http.StatusAccepted, "application/json", struct {
		ID         uuid.UUID              `json:"id"`
		Status     domain.OperationStatus `json:"status"`
		AcceptedAt time.Time              `json:"acceptedAt"`
		Links      links                  `json:"links"`
	}{id, domain.OperationPending, accepted.at, accepted.operation.links()})
}

func (a *api) commandID(caller, key string) (uuid.UUID, error) {
	if key == "" {
		return domain.NewID()
	}
	return a.log.KeyedID(caller, key), nil
}

// accepted is a command that is on the log, or whose client exists.
type accepted struct {
	at        time.Time
	operation operation
	client    *domain.Client // nil if the command is on the log
}

// again reports whether the log has had the command, and the store had no client of it.
func (a accepted) again(command domain.CreateClient) bool {
	return a.client == nil && a.operation.request == "" && !a.at.Equal(command.AcceptedAt)
}

// repair looks up the operation of a retry, so that a worker processes its command again if its outcome is lost.
func (a *api) repair(ctx context.Context, caller auth.Caller, o operation) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	if _, _, err := a.lookUpTwice(ctx, caller, o); err != nil { // the command is accepted in any case
		a.logger.Debug().Err(err).Stringer("id", o.id).Msg("cannot look up the operation of a retry")
	}
}

// accept puts the command on the log. If the store already has its client, it returns the client instead. The operation is set even
// if there is an error.
func (a *api) accept(ctx context.Context, command domain.CreateClient, keyed bool) (accepted, error) {
	result := accepted{operation: operation{id: command.ID}}
	if keyed {
		client, err := a.replayed(ctx, command.ID)
		if err == nil {
			if client.Fingerprint != command.Fingerprint {
				return result, domain.Errorf(domain.CodeKeyReused, "a client created from a different request has this id")
			}
			result.at, result.client = client.AcceptedAt, &client
			return result, nil
		}
		if domain.CodeOf(err) != domain.CodeNotFound { // a client may exist, and only the worker will see that it is another
			result.operation.request = a.requestOf(command.ID, command.Fingerprint)
		}
	}
	err := a.room(ctx, command.ID)
	if err == nil {
		result.at, err = a.log.Append(ctx, command)
	}
	return result, err
}

// room returns an error with domain.CodeLogFull if the disk has no room for the command. One that the log already has needs none.
func (a *api) room(ctx context.Context, id uuid.UUID) error {
	if a.full == nil || !a.full() {
		return nil
	}
	if domain.IsKeyed(id) {
		if _, err := a.log.Find(ctx, id); domain.CodeOf(err) != domain.CodeNotFound {
			return err
		}
	}
	return domain.Errorf(domain.CodeLogFull, "the disk is almost full")
}

// replayed returns the client of an earlier request under the same key, or an error with domain.CodeNotFound.
func (a *api) replayed(ctx context.Context, id uuid.UUID) (domain.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	return a.clients.Get(ctx, id)
}

// createCompleted waits for the outcome of a POST and answers with it. It returns false, and writes nothing, if the response is
// to be a 202. Set lookFirst if the command may have been on the log before: the waiter does not notice an earlier outcome.
func (a *api) createCompleted(w http.ResponseWriter, r *http.Request, waiter waiter, caller auth.Caller, command domain.CreateClient, lookFirst bool) bool {
	o := operation{command.ID, a.requestOf(command.ID, command.Fingerprint)}
	for lookFirst || waiter.next(r.Context()) {
		lookFirst = false
		op, client, err := a.lookUpTwice(r.Context(), caller, o)
		switch {
		case err != nil && hungUp(w, r):
			return true
		case err != nil: // Keep waiting: the command is accepted, so the worst answer is a 202.
			a.logger.Warn().Err(err).Stringer("id", o.id).Msg("cannot look up the operation of a waiting request")
		case client != nil:
			created(w, *client)
			return true
		case op.Status == domain.OperationRejected:
			a.fail(w, r, &domain.Error{Code: op.Reason, Violations: op.Errors})
			return true
		case op.Status == domain.OperationFailed: // An operator may retry the command, long after this response.
			return false
		}
	}
	return false
}

// created answers 201 with the record.
func created(w http.ResponseWriter, client domain.Client) {
	w.Header().Set("Location", clientPath(client.ID))
	problem.WriteJSON(w, http.StatusCreated, "application/json", client)
}
