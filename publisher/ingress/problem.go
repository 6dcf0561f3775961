package ingress

import (
	"net/http"

	"clientele/domain"

	"github.com/go-json-experiment/json"
)

// problem is a problem document (RFC 9457).
type problem struct {
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
}

// problemOf returns the type of problem for an error's code.
func problemOf(err error) problemID {
	switch domain.CodeOf(err) {
	case domain.CodeMalformed:
		return problemMalformed
	case domain.CodeInvalid:
		return problemInvalid
	case domain.CodeKeyReused:
		return problemKeyReused
	case domain.CodeErased:
		return problemErased
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

// document returns a problem of this type with its default detail.
func (id problemID) document() problem {
	t := problemTypes[id]
	return problem{Type: t.Type, Title: t.Title, Status: t.Status, Detail: t.Detail}
}

// write answers with a problem of this type. If detail is empty, it writes the default detail.
func (id problemID) write(w http.ResponseWriter, detail string) {
	p := id.document()
	if detail != "" {
		p.Detail = detail
	}
	p.write(w)
}

func (p problem) write(w http.ResponseWriter) {
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	writeJSON(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode the response", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store") // responses contain personal data, and change
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the caller has hung up
}
