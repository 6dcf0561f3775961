// Package ingress is the HTTP role: it answers 202 to create-client requests once their commands are on the log, and tells
// what became of them.
package ingress

import (
	"context"
	"errors"
	"net/http"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/auth"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Log is the command log.
type Log interface {
	// Append returns when the command is on disk, and the time at which it, or the same command before it, was accepted.
	// Errors have a code: domain.CodeKeyReused, CodeUnavailable, CodeLogFull or CodeUnknown.
	Append(ctx context.Context, command domain.CreateClient) (acceptedAt time.Time, err error)
	// Watch returns a channel that is told when the command with this id has its outcome, from now on, until stop is called.
	Watch(id uuid.UUID) (ended <-chan struct{}, stop func(), err error)
	// Find returns the command with this id, or an error with domain.CodeNotFound.
	Find(ctx context.Context, id uuid.UUID) (domain.LoggedCommand, error)
	// Rejection returns the rejection of the command with this id, or an error with domain.CodeNotFound.
	Rejection(ctx context.Context, id uuid.UUID) (domain.Rejection, error)
}

// Clients are the clients in the store.
type Clients interface {
	// Get returns the client with this id, or an error with domain.CodeNotFound.
	Get(ctx context.Context, id uuid.UUID) (domain.Client, error)
}

const (
	// maxBody is the most bytes of a request body.
	maxBody = 64 << 10
	// acceptTimeout bounds a POST, so that its caller has an answer within 5 s whatever the log does.
	acceptTimeout = 4500 * time.Millisecond
	// replayTimeout bounds the question whether a request with a key was carried out already. The store may be away: the
	// log and the worker see to it then.
	replayTimeout = 250 * time.Millisecond
	// lookUpTimeout bounds a GET.
	lookUpTimeout = 4500 * time.Millisecond
)

// Ingress answers the requests of the API.
type Ingress struct {
	log     Log
	clients Clients
	logger  zerolog.Logger

	stopping <-chan struct{}
}

// Config is what NewHandler needs beside a log and a store.
type Config struct {
	Authenticator auth.Authenticator
	// RatePerCaller is how many requests a second a caller may make; 0 is any number.
	RatePerCaller float64
	// MaxRequests is how many requests may be under way at once; 0 is any number.
	MaxRequests int
	Logger      zerolog.Logger
	// Stopping is closed when callers should wait no longer; nil is never.
	Stopping <-chan struct{}
	// Metrics is where the handler registers its metrics, or nil.
	Metrics prometheus.Registerer
	// Traces take a span of each request; nil is for none.
	Traces trace.TracerProvider
}

// NewHandler returns the handler of the API.
func NewHandler(log Log, clients Clients, cfg Config) http.Handler {
	in := &Ingress{log: log, clients: clients, logger: cfg.Logger, stopping: cfg.Stopping}
	g := guard{authenticator: cfg.Authenticator, logger: cfg.Logger}
	if cfg.RatePerCaller > 0 {
		g.limits = newLimiters(cfg.RatePerCaller)
	}
	if cfg.MaxRequests > 0 {
		g.slots = make(chan struct{}, cfg.MaxRequests)
	}
	mux := http.NewServeMux()
	duration := promauto.With(cfg.Metrics).NewHistogramVec(prometheus.HistogramOpts{
		Name: "clientele_http_request_duration_seconds", Help: "Time from a request to its answer, the wait that a caller prefers included.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
	}, []string{"route", "method", "code"})
	var tracer trace.Tracer
	if cfg.Traces != nil {
		tracer = cfg.Traces.Tracer("clientele/publisher/ingress")
	}
	handle := func(route string, handler http.Handler) {
		handler = promhttp.InstrumentHandlerDuration(duration.MustCurryWith(prometheus.Labels{"route": route}), handler)
		mux.Handle(route, traced(tracer, route, handler))
	}
	handle("/api/v2/clients", methods{http.MethodPost: g.allow(in.create, auth.ScopeWrite)})
	handle("/api/v2/clients/{id}", methods{http.MethodGet: g.allow(in.client, auth.ScopeRead)})
	// Who takes clients in may see what became of them, too. An operation holds nothing of the client.
	handle("/api/v2/operations/{id}", methods{http.MethodGet: g.allow(in.operation, auth.ScopeRead, auth.ScopeWrite)})
	handle("GET /problems/", http.HandlerFunc(problems))
	servePages(handle)
	handle("/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problemNotFound.write(w, "there is nothing at this path")
	}))
	return mux
}

func clientPath(id uuid.UUID) string    { return "/api/v2/clients/" + id.String() }
func operationPath(id uuid.UUID) string { return "/api/v2/operations/" + id.String() }

// links point from an operation to itself and to the client that it is about.
type links struct {
	Self   string `json:"self"`
	Client string `json:"client"`
}

func linksOf(id uuid.UUID) links { return links{Self: operationPath(id), Client: clientPath(id)} }

// create is POST /api/v2/clients.
func (in *Ingress) create(w http.ResponseWriter, r *http.Request) {
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
func (in *Ingress) accept(ctx context.Context, command domain.CreateClient, keyed bool) (acceptedAt time.Time, err error) {
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

// client is GET /api/v2/clients/{id}.
func (in *Ingress) client(w http.ResponseWriter, r *http.Request) {
	id, err := domain.ParseID(r.PathValue("id"))
	if err != nil {
		problemNotFound.write(w, "there is no client with this id")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	client, err := in.clients.Get(ctx, id)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		problemNotFound.write(w, "there is no client with this id")
	case err != nil:
		in.fail(w, r, domain.Errorf(domain.CodeUnavailable, "get client: %w", err))
	default:
		writeJSON(w, http.StatusOK, "application/json", client)
	}
}

// operation is GET /api/v2/operations/{id}.
func (in *Ingress) operation(w http.ResponseWriter, r *http.Request) {
	id, err := domain.ParseID(r.PathValue("id"))
	if err != nil {
		problemNotFound.write(w, "there is no operation with this id")
		return
	}
	watch, err := in.watch(prefer(w, r), id)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	defer watch.stop()
	op, err := in.lookUpTwice(r.Context(), id)
	for err == nil && op.Status == domain.OperationPending && watch.next(r) {
		op, err = in.lookUpTwice(r.Context(), id)
	}
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		problemNotFound.write(w, "there is no operation with this id, or it ended so long ago that it is forgotten")
		return
	case err != nil:
		in.fail(w, r, domain.Errorf(domain.CodeUnavailable, "look up operation: %w", err))
		return
	}
	if op.Status == domain.OperationPending {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, http.StatusOK, "application/json", struct {
		ID          uuid.UUID              `json:"id"`
		Status      domain.OperationStatus `json:"status"`
		AcceptedAt  *time.Time             `json:"acceptedAt"`
		CompletedAt *time.Time             `json:"completedAt"`
		Errors      []domain.Violation     `json:"errors"`
		Links       links                  `json:"links"`
	}{id, op.Status, known(op.AcceptedAt), known(op.CompletedAt), op.Errors, linksOf(id)})
}

// lookUpTwice is lookUp for an operation that may be on its way from the rejections back to the log, by an operator's retry:
// it may have been just behind us.
func (in *Ingress) lookUpTwice(ctx context.Context, id uuid.UUID) (domain.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	op, err := in.lookUp(ctx, id)
	if domain.CodeOf(err) == domain.CodeNotFound {
		op, err = in.lookUp(ctx, id)
	}
	return op, err
}

// known returns nil for a time that is not known.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// lookUp finds out how far the command with this id has come. The log is asked first: what leaves it between the
// questions has its outcome by then, so no order of events makes an operation disappear.
func (in *Ingress) lookUp(ctx context.Context, id uuid.UUID) (domain.Operation, error) {
	op := domain.Operation{ID: id, Status: domain.OperationPending}
	command, err := in.log.Find(ctx, id)
	pending := err == nil
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound {
		return op, err
	}
	op.AcceptedAt = command.AcceptedAt

	// A client outranks a rejection with its id: the row was there first, and something else came under its id later.
	client, err := in.clients.Get(ctx, id)
	if err == nil {
		op.Status, op.AcceptedAt, op.CompletedAt = domain.OperationSucceeded, client.AcceptedAt, client.CreatedAt
		return op, nil
	}
	if domain.CodeOf(err) != domain.CodeNotFound {
		return op, err
	}
	rejection, err := in.log.Rejection(ctx, id)
	if err == nil && pending && command.Sequence > rejection.Command.Sequence {
		return op, nil // it was rejected once, and is on the log again
	}
	if err == nil {
		op.Status, op.CompletedAt = rejection.Status(), rejection.RejectedAt
		op.Reason, op.Errors = rejection.Reason, rejection.Errors
		return op, nil
	}
	if domain.CodeOf(err) == domain.CodeNotFound && pending {
		return op, nil
	}
	return op, err
}

// statusHungUp is what metrics and traces show for a request whose caller hung up. It is nginx's number; nobody receives it.
const statusHungUp = 499

// hungUp reports whether the caller has hung up, in which case the request is done: what failed for it, failed because of that.
func hungUp(w http.ResponseWriter, r *http.Request) bool {
	if r.Context().Err() == nil {
		return false
	}
	w.WriteHeader(statusHungUp)
	return true
}

// fail answers with the problem that the error's code stands for.
func (in *Ingress) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		if hungUp(w, r) {
			return
		}
		in.logger.Warn().Err(err).Int("status", p.Status).Msg("cannot serve a request")
	}
	if e, ok := errors.AsType[*domain.Error](err); ok {
		p.Errors = e.Violations
		if e.Code == domain.CodeMalformed {
			p.Offset, p.Pointer = &e.Offset, &e.Pointer
			p.Detail = e.Error()
		}
	}
	p.write(w, p.Detail)
}

// failCommand answers for a command that was not accepted, or may have been: then the problem names the operation.
func (in *Ingress) failCommand(w http.ResponseWriter, r *http.Request, id uuid.UUID, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		if hungUp(w, r) {
			return
		}
		in.logger.Warn().Err(err).Stringer("id", id).Str("code", string(domain.CodeOf(err))).Msg("cannot accept a command")
	}
	if domain.CodeOf(err) == domain.CodeUnknown {
		p.Operation = operationPath(id)
	}
	p.write(w, p.Detail)
}
