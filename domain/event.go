package domain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// The headers of an event that are not of CloudEvents, or from which its client is read.
const (
	// HeaderEventTime is when the client was created (RFC 3339).
	HeaderEventTime = "ce-time"
	// HeaderEventAcceptedAt is when the ingress accepted the command (RFC 3339): an extension attribute.
	HeaderEventAcceptedAt = "ce-acceptedat"
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

// NewEvent returns the event of a client. Equal clients have equal events. A client that is created again under its id has another one.
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

// ParseEvent returns the client of a client.created event, as the store has it. An event of an earlier version does not say when
// its command was accepted: then AcceptedAt is CreatedAt. The fingerprint is not in the event, so that its headers say nothing
// about the client: it is that of the record. An error means that this version did not write the event; it quotes no value.
func ParseEvent(header map[string][]string, body []byte) (Client, error) {
	var c Client
	if err := json.Unmarshal(body, &c, json.RejectUnknownMembers(true)); err != nil {
		return Client{}, errors.New("the body is not the record of a client")
	}
	canonical, err := c.Details.Canonical()
	if err != nil {
		return Client{}, err
	}
	c.Fingerprint = sha256.Sum256(canonical)
	if c.CreatedAt, err = ParseTimestamp(first(header, HeaderEventTime)); err != nil {
		return Client{}, fmt.Errorf("header %s %w", HeaderEventTime, err)
	}
	c.AcceptedAt = c.CreatedAt
	if text := first(header, HeaderEventAcceptedAt); text != "" {
		if c.AcceptedAt, err = ParseTimestamp(text); err != nil {
			return Client{}, fmt.Errorf("header %s %w", HeaderEventAcceptedAt, err)
		}
	}
	return c, nil
}
