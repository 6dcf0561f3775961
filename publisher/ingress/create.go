package ingress

import (
	"context"
	"net/http"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/auth"

	"github.com/google/uuid"
)

// create is POST /api/v2/clients.
func (a *api) create(w http.ResponseWriter, r *http.Request, call call) {
	now := time.Now()
	key, err := idempotencyKey(r.Header)
	if err != nil {
		problemIdempotencyKey.write(w, err.Error())
		return
	}
	body, ok := readBody(w, r)
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
	acceptedAt, client, err := a.accept(ctx, command, key != "")
	if err != nil {
		a.failCommand(w, r, id, err)
		return
	}
	if waiter.waits() {
		if client != nil {
			created(w, *client)
			return
		}
		if a.createCompleted(w, r, waiter, call.caller, id, key != "") {
			return
		}
	}
	w.Header().Set("Location", operationPath(id))
	w.Header().Set("Retry-After", "1")
	writeJSON(w, http.StatusAccepted, "application/json", struct {
		ID         uuid.UUID              `json:"id"`
		Status     domain.OperationStatus `json:"status"`
		AcceptedAt time.Time              `json:"acceptedAt"`
		Links      links                  `json:"links"`
	}{id, domain.OperationPending, acceptedAt, linksOf(id)})
}

func (a *api) commandID(caller, key string) (uuid.UUID, error) {
	if key == "" {
		return domain.NewID()
	}
	return a.log.KeyedID(caller, key), nil
}

// accept puts the command on the log. If the store already has its client, it returns the client instead.
func (a *api) accept(ctx context.Context, command domain.CreateClient, keyed bool) (time.Time, *domain.Client, error) {
	if keyed {
		storeCtx, cancel := context.WithTimeout(ctx, replayTimeout)
		defer cancel()
		if client, err := a.clients.Get(storeCtx, command.ID); err == nil {
			if client.Fingerprint != command.Fingerprint {
				return time.Time{}, nil, domain.Errorf(domain.CodeKeyReused, "a client created from a different request has this id")
			}
			return client.AcceptedAt, &client, nil
		}
	}
	acceptedAt, err := a.log.Append(ctx, command)
	return acceptedAt, nil, err
}

// createCompleted waits for the outcome of a POST and answers with it. It returns false, and writes nothing, if the response is
// to be a 202. Set lookFirst if the command may have been on the log before: the waiter does not notice an earlier outcome.
func (a *api) createCompleted(w http.ResponseWriter, r *http.Request, waiter waiter, caller auth.Caller, id uuid.UUID, lookFirst bool) bool {
	for lookFirst || waiter.next(r.Context()) {
		lookFirst = false
		op, client, err := a.lookUpAcrossRetry(r.Context(), caller, id)
		switch {
		case err != nil && hungUp(w, r):
			return true
		case err != nil: // Keep waiting: the command is accepted, so the worst answer is a 202.
			a.logger.Warn().Err(err).Stringer("id", id).Msg("cannot look up the operation of a waiting request")
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
	writeJSON(w, http.StatusCreated, "application/json", client)
}
