package ingress

import (
	"net/http"

	"clientele/domain"

	"github.com/go-json-experiment/json"
)

// problem is a problem document (RFC 9457). Its type is a relative URI reference: the path of the page that explains it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitzero"`

	// Errors are the violations of an invalid command.
	Errors []domain.Violation `json:"errors,omitzero"`
	// Offset, in bytes, and Pointer say where malformed JSON was noticed.
	Offset  *int64  `json:"offset,omitzero"`
	Pointer *string `json:"pointer,omitzero"`
	// Operation is where the outcome of a command can be seen whose acceptance is unknown.
	Operation string `json:"operation,omitzero"`
}

func problemType(name, title string, status int, detail string) problem {
	return problem{Type: "/problems/" + name, Title: title, Status: status, Detail: detail}
}

// The problems, each with the detail that fits where nothing more exact is known.
var (
	problemMalformed = problemType("malformed-json", "The body is not valid JSON", http.StatusBadRequest, "")
	problemInvalid   = problemType("invalid", "The client is not valid", http.StatusUnprocessableEntity,
		"errors lists every member that breaks a rule")
	problemKeyReused = problemType("idempotency-key-reused", "The idempotency key was used for another request",
		http.StatusUnprocessableEntity,
		"a different body was sent under this Idempotency-Key before; choose a new key for a new client")
	problemUnavailable = problemType("unavailable", "The service cannot do this now", http.StatusServiceUnavailable,
		"nothing was changed; try again later")
	problemLogFull = problemType("log-full", "The service has too much to do", http.StatusServiceUnavailable,
		"the command was not accepted; try again later")
	problemUnknown = problemType("outcome-unknown", "It is not known whether the command was accepted",
		http.StatusServiceUnavailable,
		"look at operation, or send the request again; with an Idempotency-Key that never makes a second client")
	problemInternal = problemType("internal", "Something is wrong with the service", http.StatusInternalServerError,
		"this is a defect of the service")
	problemIdempotencyKey = problemType("invalid-idempotency-key", "The Idempotency-Key header is not valid",
		http.StatusBadRequest, "")
	problemNotFound  = problemType("not-found", "Not found", http.StatusNotFound, "")
	problemMethod    = problemType("method-not-allowed", "Method not allowed", http.StatusMethodNotAllowed, "")
	problemAccept    = problemType("not-acceptable", "Not acceptable", http.StatusNotAcceptable, "")
	problemTooLarge  = problemType("too-large", "The body is too large", http.StatusRequestEntityTooLarge, "")
	problemMediaType = problemType("unsupported-media-type", "Unsupported media type", http.StatusUnsupportedMediaType, "")
	problemTimeout   = problemType("timeout", "The request took too long", http.StatusRequestTimeout, "")

	problemUnauthorized = problemType("unauthorized", "Authentication required", http.StatusUnauthorized,
		"send an API key, or a token of the issuer, as Authorization: Bearer")
	problemForbidden = problemType("forbidden", "You may not do this", http.StatusForbidden, "")
	problemTooMany   = problemType("too-many-requests", "Too many requests", http.StatusTooManyRequests,
		"you sent more requests than your share; wait for Retry-After seconds")
	problemBusy = problemType("busy", "The service has too many requests in progress", http.StatusServiceUnavailable,
		"nothing was changed; try again later")
)

// problemOf returns the problem that an error's code stands for.
func problemOf(err error) problem {
	switch domain.CodeOf(err) {
	case domain.CodeMalformed:
		return problemMalformed
	case domain.CodeInvalid:
		return problemInvalid
	case domain.CodeKeyReused:
		return problemKeyReused
	case domain.CodeUnavailable:
		return problemUnavailable
	case domain.CodeLogFull:
		return problemLogFull
	case domain.CodeUnknown:
		return problemUnknown
	default:
		return problemInternal
	}
}

// write answers with the problem and this detail.
func (p problem) write(w http.ResponseWriter, detail string) {
	p.Detail = detail
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store") // answers hold personal data, and change
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone: nobody is left to tell
}
