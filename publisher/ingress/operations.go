package ingress

import (
	"context"
	"net/http"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/access"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"

	"golang.org/x/sync/errgroup"
)

const (
	// operationsPage is the largest number of operations in a response.
	operationsPage = 100
	// operationLookUps is how many rejected operations of a response are looked up at once.
	operationLookUps = 8
)

// listOperations is GET /api/v2/operations.
func (a *api) listOperations(w http.ResponseWriter, r *http.Request, call access.Call) {
	q, err := request.ReadOperations(r.URL.RawQuery, time.Now())
	if err != nil {
		problem.Query.Write(w, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	found, err := a.clients.Operations(ctx, call.Caller.Name, q.Status, q.From, q.After, operationsPage+1)
	if err == nil {
		err = a.completeRejected(ctx, call, found[:min(len(found), operationsPage)])
	}
	if err != nil {
		a.fail(w, r, domain.Errorf(domain.CodeUnavailable, "list operations: %w", err))
		return
	}
	problem.WriteJSON(w, http.StatusOK, "application/json", newOperationList(found))
}

// completeRejected adds to rejected operations why, from their rejections. An operation that was dropped has the status "" afterwards, and
// so has one that was retried: it is pending, or has another place in the list.
//
// It never asks the leader, which would sync a message to the log for each operation that was dropped. So while a NATS server is behind
// the others, an existing operation can have the status "", and is missing from this list.
func (a *api) completeRejected(ctx context.Context, call access.Call, operations []domain.Operation) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(operationLookUps)
	for i := range operations {
		o := &operations[i]
		if o.Status == domain.OperationSucceeded {
			continue
		}
		group.Go(func() error {
			now, _, err := a.lookUp(ctx, call.Caller, operation{id: o.ID}, reads{a.log.Find, a.log.Rejection})
			if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
				return err
			}
			if err != nil || !now.CompletedAt.Equal(o.CompletedAt) {
				now = domain.Operation{ID: o.ID, CompletedAt: o.CompletedAt} // the cursor needs its place
			}
			*o = now
			return nil
		})
	}
	return group.Wait()
}

// operationList is the body of a list.
type operationList struct {
	Operations []operationBody `json:"operations"`
	// Cursor is for the next request, and "" at the end.
	Cursor string `json:"cursor,omitzero"`
}

// newOperationList returns the list of a page of operations, and of one more if there is another page. It leaves out those without a
// status.
func newOperationList(found []domain.Operation) operationList {
	list := operationList{Operations: []operationBody{}}
	if len(found) > operationsPage {
		found = found[:operationsPage]
		list.Cursor = request.Cursor(found[operationsPage-1])
	}
	for _, o := range found {
		if o.Status != "" {
			list.Operations = append(list.Operations, bodyOf(operation{id: o.ID}, o))
		}
	}
	return list
}
