package domain

import (
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Event is client.created: the record of a client in the store.
type Event struct {
	// ID is the same each time the event of a client is published. Subscribers use it to recognize duplicates.
	ID     uuid.UUID
	Client Client
	// Body is the record as JSON.
	Body []byte
	// Traceparent is the value of HeaderTraceparent, or "". It is not part of the event: it may differ between duplicates.
	Traceparent string
}

// NewEvent returns the event of a client. Equal clients have equal events. A client that is created again under its id has
// another event.
func NewEvent(c Client) (Event, error) {
	body, err := c.JSON()
	if err != nil {
		return Event{}, err
	}
	return Event{ID: eventID(SubjectCreated, c.ID, c.CreatedAt), Client: c, Body: body}, nil
}

// ErasedID returns the id of the client.erased event of an erasure. Each erasure has its own.
func ErasedID(client uuid.UUID, at time.Time) uuid.UUID { return eventID(SubjectErased, client, at) }

// eventID returns a UUIDv5 (RFC 9562). The time counts in microseconds, the precision that every store keeps.
func eventID(subject string, client uuid.UUID, at time.Time) uuid.UUID {
	return uuid.NewSHA1(client, []byte(subject+" "+strconv.FormatInt(at.UnixMicro(), 10)))
}
