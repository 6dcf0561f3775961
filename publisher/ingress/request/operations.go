package request

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// Operations selects operations of a caller.
type Operations struct {
	Status domain.OperationStatus // "" for all
	// From and After are where the list continues: after the operation that was completed at this time and has this id, or with
	// uuid.Nil at this time.
	From  time.Time
	After uuid.UUID
}

// operationsPeriod is how far back a list without since begins.
const operationsPeriod = 24 * time.Hour

// ReadOperations returns what the query of a URL selects. Its parameters are status, since and cursor. An error says what is wrong with
// them.
func ReadOperations(query string, now time.Time) (Operations, error) {
	o := Operations{From: now.Add(-operationsPeriod)}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return o, errors.New("the query cannot be read")
	}
	for name, values := range parameters {
		if len(values) > 1 {
			return o, fmt.Errorf("%.40q is repeated; send each parameter once", name)
		}
		switch value := values[0]; name {
		case "status":
			o.Status = domain.OperationStatus(value)
			err = checkStatus(o.Status)
		case "since":
			if o.From, err = domain.ParseTimestamp(value); err != nil {
				err = errors.New("since must be a date and time as in RFC 3339, such as 2026-11-24T09:00:00Z")
			}
		case "cursor":
		default:
			err = fmt.Errorf("%.40q is no parameter of this path; send status, since and cursor only", name)
		}
		if err != nil {
			return o, err
		}
	}
	if cursor := parameters.Get("cursor"); cursor != "" { // it continues a list that began with since
		o.From, o.After, err = parseCursor(cursor)
	}
	return o, err
}

func checkStatus(status domain.OperationStatus) error {
	switch status {
	case domain.OperationSucceeded, domain.OperationRejected, domain.OperationFailed:
		return nil
	case domain.OperationPending:
		return errors.New("pending operations are not listed; get each one by its id")
	}
	return errors.New("status must be succeeded, rejected or failed; omit it for all of them")
}

// Cursor returns the value of the parameter cursor for the operations after this one.
func Cursor(o domain.Operation) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(o.CompletedAt.UnixMicro(), 10) + "." + o.ID.String()))
}

func parseCursor(cursor string) (time.Time, uuid.UUID, error) {
	wrong := errors.New("the cursor is not valid; send the one of the response before, unchanged")
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return time.Time{}, uuid.Nil, wrong
	}
	at, id, _ := strings.Cut(string(text), ".")
	micros, err := strconv.ParseInt(at, 10, 64)
	completed := time.UnixMicro(micros).UTC()
	if err != nil || completed.Year() < 0 || completed.Year() > 9999 { // no operation has another year, and a database may refuse it
		return time.Time{}, uuid.Nil, wrong
	}
	after, err := domain.ParseID(id)
	if err != nil {
		return time.Time{}, uuid.Nil, wrong
	}
	return completed, after, nil
}
