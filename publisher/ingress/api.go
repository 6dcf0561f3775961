package ingress

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/request"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Log is the command log.
type Log interface {
	// KeyedID returns the id of the command that this caller sent under this idempotency key. It is the same on every ingress.
	KeyedID(caller, key string) uuid.UUID
	// Append puts the command on disk and returns the time at which it was accepted, which is earlier if the log already had
	// it. Errors have a code: domain.CodeKeyReused, CodeUnavailable, CodeLogFull or CodeUnknown.
	Append(ctx context.Context, command domain.CreateClient) (acceptedAt time.Time, err error)
	// Watch returns a channel that receives a value when the outcome of the command with this id is on disk. It listens until
	// you call stop.
	Watch(id uuid.UUID) (completed <-chan struct{}, stop func(), err error)
	// Find returns the command with this id, or an error with domain.CodeNotFound. Another server may already have the command.
	Find(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error)
	// FindLatest is Find, but with domain.CodeNotFound no server has the command. It may wait until the context ends.
	FindLatest(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error)
	// Completed reports whether the outcome of the command at this sequence is on disk, unless it was lost since. It may report false for
	// a second after that.
	Completed(ctx context.Context, sequence uint64) bool
	// ProcessAgain asks a worker to process a completed command again, and reports whether it did: it limits the rate.
	ProcessAgain(ctx context.Context, command uuid.UUID) (bool, error)
	// Rejection returns the rejection of the command with this id, or an error with domain.CodeNotFound. Another server may already
	// have the rejection.
	Rejection(ctx context.Context, id uuid.UUID) (domain.Rejection, error)
	// RejectionLatest is Rejection, but with domain.CodeNotFound no server has the rejection. It may wait until the context ends.
	RejectionLatest(ctx context.Context, id uuid.UUID) (domain.Rejection, error)
}

// Clients are the clients in the store.
type Clients interface {
	// Get returns the client with this id, or an error with domain.CodeNotFound.
	Get(ctx context.Context, id uuid.UUID) (domain.Client, error)
	// GetAll returns those of the clients with these ids that exist, by their ids.
	GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error)
	// Operations returns the first n completed operations of a caller with this status, or with any for "". They are in the order of
	// the time of completion and of their ids, and begin after that time and id. Rejected ones may have been retried or dropped since.
	Operations(ctx context.Context, caller string, status domain.OperationStatus, from time.Time, after uuid.UUID, n int) ([]domain.Operation, error)
}

const (
	// acceptTimeout limits a POST, so that the caller receives a response within 5 s even if the log does not answer.
	acceptTimeout = 4500 * time.Millisecond
	// replayTimeout limits the look-up of the client of a keyed request. If the store is unavailable, the log or the worker
	// recognises a retry.
	replayTimeout = 250 * time.Millisecond
	// lookUpTimeout limits a look-up of a client or an operation.
	lookUpTimeout = 4500 * time.Millisecond
)

// api answers the requests of the API.
type api struct {
	log     Log
	clients Clients
	audit   Audit
	logger  zerolog.Logger

	waiting  waiting
	stopping <-chan struct{}
	full     func() bool // Config.Full
	lines    *prometheus.CounterVec
}

func clientPath(id uuid.UUID) string { return "/api/v2/clients/" + id.String() }

// links are the paths of an operation and its client.
type links struct {
	Self   string `json:"self"`
	Client string `json:"client"`
}

// operation identifies an operation.
type operation struct {
	id uuid.UUID
	// request identifies the request, see requestOf, if others under the same idempotency key may have created the client. "" means
	// that of the client.
	request string
}

func (o operation) path() string {
	path := "/api/v2/operations/" + o.id.String()
	if o.request != "" {
		path += "?request=" + url.QueryEscape(o.request)
	}
	return path
}

func (o operation) links() links { return links{Self: o.path(), Client: clientPath(o.id)} }

// requestOf tells a request from others under its idempotency key. It derives from the secret of the installation, so that the data of
// the client cannot be guessed from it.
func (a *api) requestOf(id uuid.UUID, fingerprint domain.Fingerprint) string {
	return a.log.KeyedID(id.String(), fingerprint.String()).String()
}

// problemOf returns the problem for an error.
func problemOf(err error) problem.Document {
	p := problem.Of(err).Document()
	if e, ok := errors.AsType[*domain.Error](err); ok {
		p.Errors = e.Violations
		if e.Code == domain.CodeMalformed {
			p.Offset, p.Pointer = &e.Offset, &e.Pointer
			p.Detail = e.Error()
		}
	}
	return p
}

// problemOfCommand returns the problem of a command that was not accepted. If it may have been accepted, the problem names the operation.
func problemOfCommand(o operation, err error) problem.Document {
	p := problem.Of(err).Document()
	if domain.CodeOf(err) == domain.CodeUnknown {
		p.Operation = o.path()
	}
	return p
}

// fail answers with the problem for an error.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		if request.HungUp(w, r) {
			return
		}
		a.logger.Warn().Err(err).Int("status", p.Status).Msg("cannot serve a request")
	}
	p.Write(w)
}

// failCommand answers for a command that was not accepted.
func (a *api) failCommand(w http.ResponseWriter, r *http.Request, o operation, err error) {
	p := problemOfCommand(o, err)
	if p.Status >= http.StatusInternalServerError {
		if request.HungUp(w, r) {
			return
		}
		a.logger.Warn().Err(err).Stringer("id", o.id).Str("code", string(domain.CodeOf(err))).Msg("cannot accept a command")
	}
	p.Write(w)
}
