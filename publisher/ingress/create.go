package ingress

import (
	"context"
	"net/http"
	"slices"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/access"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"

	"github.com/google/uuid"
)

// create is POST /api/v2/clients.
func (a *api) create(w http.ResponseWriter, r *http.Request, call access.Call) {
	validateOnly, err := request.ValidateOnly(r.URL.RawQuery)
	if err != nil {
		problem.Query.Write(w, err.Error())
		return
	}
	command, ok := a.readCommand(w, r, call.Caller)
	if !ok {
		return
	}
	if validateOnly {
		problem.WriteJSON(w, http.StatusOK, "application/json", isValid)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	waiter, err := a.newWaiter(w, r, command.ID, call.ReleaseSlot)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer waiter.stop()
	accepted, err := a.accept(ctx, command, a.earlier(ctx, command.ID))
	if err != nil {
		a.failCommand(w, r, accepted.operation, err)
		return
	}
	if waiter.waits() {
		if accepted.client != nil {
			created(w, *accepted.client)
			return
		}
		if a.createCompleted(w, r, waiter, call.Caller, command) {
			return
		}
	}
	a.repair(ctx, call.Caller, command, accepted)
	w.Header().Set("Location", accepted.operation.path())
	w.Header().Set("Retry-After", "1")
	problem.WriteJSON(w, http.StatusAccepted, "application/json", accepted.body())
}

// validity is the body of the response to a valid request that creates nothing.
type validity struct {
	Status string `json:"status"`
}

var isValid = validity{"valid"}

// readCommand returns the command of a request. If it cannot, it answers the request and returns false.
func (a *api) readCommand(w http.ResponseWriter, r *http.Request, caller auth.Caller) (command domain.CreateClient, ok bool) {
	now := time.Now()
	key, err := request.Key(r.Header)
	if err != nil {
		problem.IdempotencyKey.Write(w, err.Error())
		return command, false
	}
	body, ok := request.Body(w, r)
	if !ok {
		return command, false
	}
	details, err := domain.Parse(body, now)
	if err == nil {
		command, err = a.newCommand(caller, key, details, now)
	}
	if err != nil {
		a.fail(w, r, err)
		return command, false
	}
	return command, true
}

// newCommand returns the command of a request. Without a key, its id is new.
func (a *api) newCommand(caller auth.Caller, key string, details domain.Details, now time.Time) (command domain.CreateClient, err error) {
	var id uuid.UUID
	if key != "" {
		id = a.log.KeyedID(caller.Name, key)
	} else if id, err = domain.NewID(); err != nil {
		return command, err
	}
	command, err = domain.NewCreateClient(id, caller.Name, now, details)
	command.KeyID = caller.KeyID
	return command, err
}

// accepted is a command that is on the log, or whose client exists.
type accepted struct {
	at        time.Time
	operation operation
	client    *domain.Client // nil if the command is on the log
}

// body returns the body of the response.
func (a accepted) body() any {
	return struct {
		ID         uuid.UUID              `json:"id"`
		Status     domain.OperationStatus `json:"status"`
		AcceptedAt time.Time              `json:"acceptedAt"`
		Links      links                  `json:"links"`
	}{a.operation.id, domain.OperationPending, a.at, a.operation.links()}
}

// repairAge is the age from which a command may be completed as far as an ingress knows, see Log.Completed. Clocks of ingresses differ.
const repairAge = time.Second

// repair looks up the operation of a retry that found its command on the log, so that a worker processes the command again if its
// outcome is lost.
func (a *api) repair(ctx context.Context, caller auth.Caller, command domain.CreateClient, found accepted) {
	if found.client != nil || found.operation.request != "" || command.AcceptedAt.Sub(found.at).Abs() < repairAge {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	if _, _, err := a.lookUpTwice(ctx, caller, found.operation); err != nil { // the command is accepted in any case
		a.logger.Debug().Err(err).Stringer("id", command.ID).Msg("cannot look up the operation of a retry")
	}
}

// earlier are the clients of earlier requests under the same keys.
type earlier struct {
	clients map[uuid.UUID]domain.Client
	err     error // they may exist, and could not be read
}

// earlier reads the clients of earlier requests with these ids. Ids without a key have none.
func (a *api) earlier(ctx context.Context, ids ...uuid.UUID) earlier {
	ids = slices.DeleteFunc(ids, func(id uuid.UUID) bool { return !domain.IsKeyed(id) })
	if len(ids) == 0 {
		return earlier{}
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	clients, err := a.clients.GetAll(ctx, ids)
	return earlier{clients, err}
}

// accept puts the command on the log. If the store already has its client, it returns the client instead. The operation is set even
// if there is an error.
func (a *api) accept(ctx context.Context, command domain.CreateClient, earlier earlier) (accepted, error) {
	result := accepted{operation: operation{id: command.ID}}
	client, exists := earlier.clients[command.ID]
	switch {
	case exists && client.Fingerprint != command.Fingerprint:
		return result, domain.Errorf(domain.CodeKeyReused, "a client created from a different request has this id")
	case exists:
		result.at, result.client = client.AcceptedAt, &client
		return result, nil
	case earlier.err != nil && domain.IsKeyed(command.ID): // a client may exist, and only the worker will see that it is another
		result.operation.request = a.requestOf(command.ID, command.Fingerprint)
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

// createCompleted waits for the outcome of a POST and answers with it. It returns false, and writes nothing, if the response is
// to be a 202.
func (a *api) createCompleted(w http.ResponseWriter, r *http.Request, waiter waiter, caller auth.Caller, command domain.CreateClient) bool {
	o := operation{command.ID, a.requestOf(command.ID, command.Fingerprint)}
	lookFirst := domain.IsKeyed(command.ID) // it may have been on the log before, and the waiter does not notice an earlier outcome
	for lookFirst || waiter.next(r.Context()) {
		lookFirst = false
		op, client, err := a.lookUpTwice(r.Context(), caller, o)
		switch {
		case err != nil && request.HungUp(w, r):
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
