package domain

import "github.com/google/uuid"

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

// NewEvent returns the event of a client. Equal clients have equal events.
func NewEvent(c Client) (Event, error) {
	body, err := c.JSON()
	if err != nil {
		return Event{}, err
	}
	return Event{ID: uuid.NewSHA1(c.ID, []byte(SubjectCreated)), Client: c, Body: body}, nil
}

// ErasedID returns the id of the client.erased event of a client. It is the same each time.
func ErasedID(client uuid.UUID) uuid.UUID { return uuid.NewSHA1(client, []byte(SubjectErased)) }
