package domain

import (
	"bytes"
	"cmp"
	"strings"
	"time"
)

// Line is a line of a batch: a client, and the idempotency key of the request to create it.
type Line struct {
	Key     *string // nil if the line has none
	Details Details
	Size    int // of the client in bytes
}

// lineClient is the pointer of the client in a line.
const lineClient = "/client"

// ParseLine parses a line of a batch as strictly as Parse. Errors are those of Parse: the offset counts from the start of the line, and
// pointers of violations start at the client. The line has its key and its size in spite of violations.
func ParseLine(text []byte, now time.Time) (Line, error) {
	var line Line
	var ofClient []Violation
	hasClient := false
	ofLine, err := parse(text, func(r *reader) error {
		return r.object(func(name []byte) (_ bool, err error) {
			switch string(name) {
			case "idempotencyKey":
				if r.dec.PeekKind() == '"' {
					line.Key = new(string)
				}
				return true, r.text(cmp.Or(line.Key, new(string)))
			case "client":
				hasClient = true
				before := r.violations
				r.violations = nil
				start := r.dec.InputOffset()
				line.Details, err = r.document()
				line.Size = len(bytes.TrimLeft(text[start:r.dec.InputOffset()], ": \t\r\n"))
				ofClient, r.violations = r.violations, before
				return true, err
			}
			return true, r.skip("is not a member of a line, which has an idempotencyKey and a client")
		})
	})
	switch {
	case err != nil:
		return line, err
	case !hasClient && len(ofLine) == 0:
		ofLine = []Violation{{Pointer: lineClient, Detail: "is required"}}
	}
	if len(ofLine) > 0 {
		return line, &Error{Code: CodeInvalid, Violations: ofLine}
	}
	for i := range ofClient {
		ofClient[i].Pointer = strings.TrimPrefix(ofClient[i].Pointer, lineClient)
	}
	line.Details, err = line.Details.checked(ofClient, now)
	return line, err
}
