package ingress

import (
	"context"
	"net/http"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// create is POST /api/v2/clients.
func (in *api) create(w http.ResponseWriter, r *http.Request) {
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
		in.fail(w, r, err)
		return
	}
	caller := callerOf(r).Name
	id, err := commandID(caller, key)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	command, err := domain.NewCreateClient(id, caller, now, details)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	preference := prefer(w, r)
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	watch, err := in.watch(preference, id)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	defer watch.stop()
	acceptedAt, err := in.accept(ctx, command, key != "")
	if err != nil {
		in.failCommand(w, r, id, err)
		return
	}
	if preference.wait > 0 && in.createEnded(w, r, watch, id, key != "") {
		return
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

func commandID(caller, key string) (uuid.UUID, error) {
	if key == "" {
		return domain.NewID()
	}
	return domain.KeyedID(caller, key), nil
}

// accept puts the command on the log, unless it was carried out already.
func (in *api) accept(ctx context.Context, command domain.CreateClient, keyed bool) (acceptedAt time.Time, err error) {
	if keyed {
		storeCtx, cancel := context.WithTimeout(ctx, replayTimeout)
		defer cancel()
		if client, err := in.clients.Get(storeCtx, command.ID); err == nil {
			if client.Fingerprint != command.Fingerprint {
				return time.Time{}, domain.Errorf(domain.CodeKeyReused, "a client made from another request has this id")
			}
			return client.AcceptedAt, nil
		}
	}
	return in.log.Append(ctx, command)
}

// createEnded answers a POST whose caller waits, if the operation ends in time; else it returns false. A command that was there
// before may have ended before the watch began.
func (in *api) createEnded(w http.ResponseWriter, r *http.Request, watch watch, id uuid.UUID, before bool) bool {
	for before || watch.next(r) {
		before = false
		op, err := in.lookUpTwice(r.Context(), id)
		switch {
		case err != nil && hungUp(w, r):
			return true
		case err != nil: // It is accepted, whatever we can see of it: that is the answer.
			in.logger.Warn().Err(err).Stringer("id", id).Msg("cannot look up an operation that is waited for")
		case op.Status == domain.OperationSucceeded:
			return in.created(r.Context(), w, id)
		case op.Status == domain.OperationRejected:
			in.fail(w, r, &domain.Error{Code: op.Reason, Violations: op.Errors})
			return true
		case op.Status == domain.OperationFailed: // An operator may mend that, long after this answer.
			return false
		}
	}
	return false
}

// created answers 201 with the record, or returns false if it cannot be had.
func (in *api) created(ctx context.Context, w http.ResponseWriter, id uuid.UUID) bool {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	client, err := in.clients.Get(ctx, id)
	if err != nil {
		return false
	}
	w.Header().Set("Location", clientPath(id))
	writeJSON(w, http.StatusCreated, "application/json", client)
	return true
}
