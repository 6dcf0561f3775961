// Package problem has the problem documents of the API (RFC 9457), and the texts of their pages.
package problem

import (
	"net/http"
	"strconv"

	"clientele/domain"

	"github.com/go-json-experiment/json"
)

// Document is a problem document (RFC 9457).
type Document struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitzero"`

	// Errors are the violations of an invalid command.
	Errors []domain.Violation `json:"errors,omitzero"`
	// Offset, in bytes, and Pointer are the position of the error in malformed JSON.
	Offset  *int64  `json:"offset,omitzero"`
	Pointer *string `json:"pointer,omitzero"`
	// Operation is the path of the operation, if it is unknown whether the command was accepted.
	Operation string `json:"operation,omitzero"`

	// RetryAfter is the number of seconds to wait before a retry, or 0.
	RetryAfter int `json:"-"`
}

// Of returns the type of problem for an error's code.
func Of(err error) ID {
	switch domain.CodeOf(err) {
	case domain.CodeMalformed:
		return Malformed
	case domain.CodeInvalid:
		return Invalid
	case domain.CodeKeyReused:
		return KeyReused
	case domain.CodeErased:
		return Erased
	case domain.CodeUnavailable:
		return Unavailable
	case domain.CodeLogFull:
		return LogFull
	case domain.CodeUnknown:
		return Unknown
	default:
		return Internal
	}
}

// Document returns a problem of this type with its default detail.
func (id ID) Document() Document {
	t := Types[id]
	p := Document{Type: t.Type, Title: t.Title, Status: t.Status, Detail: t.Detail}
	if p.Status == http.StatusServiceUnavailable {
		p.RetryAfter = 2
	}
	return p
}

// With returns a problem of this type with this detail. If it is empty, it is the default.
func (id ID) With(detail string) Document {
	p := id.Document()
	if detail != "" {
		p.Detail = detail
	}
	return p
}

// Write answers with a problem of this type. If detail is empty, it writes the default detail.
func (id ID) Write(w http.ResponseWriter, detail string) { id.With(detail).Write(w) }

// Write answers with the document.
func (p Document) Write(w http.ResponseWriter) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	WriteJSON(w, p.Status, "application/problem+json", p)
}

// WriteJSON answers with a value as JSON, which no cache may store.
func WriteJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode the response", http.StatusInternalServerError)
		return
	}
	WriteHeader(w, status, contentType)
	_, _ = w.Write(body) // an error means that the caller has hung up
}

// WriteHeader begins a response that no cache may store.
func WriteHeader(w http.ResponseWriter, status int, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store") // responses contain personal data, and change
	w.WriteHeader(status)
}
