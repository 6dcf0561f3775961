// Package domain defines the client record, its command, how both are parsed and validated, and the messages about the outcome. It does no I/O.
package domain

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Status is the state of a client's portal account.
type Status string

// The statuses of the API's reference page. A new client is NotInvited.
const (
	StatusActive     Status = "Active"
	StatusClosed     Status = "Closed"
	StatusInvited    Status = "Invited"
	StatusNotInvited Status = "NotInvited"
	StatusSendFailed Status = "SendFailed"
)

// Details are the members of a client that its caller sets. Nil means unknown and is null in JSON. Address and
// CommunicationPreferences are omitted instead, because the API's reference page does not allow null for them.
//
// JSON has the members in the order of these fields, and Fingerprint hashes that JSON: add members, never reorder them.
type Details struct {
	FirstName                string                    `json:"firstName"`
	LastName                 string                    `json:"lastName"`
	EmailAddress             string                    `json:"emailAddress"`
	Title                    *string                   `json:"title"`
	MiddleName               *string                   `json:"middleName"`
	CompanyName              *string                   `json:"companyName"`
	TelephoneNumber          *string                   `json:"telephoneNumber"`
	AltTelephoneNumber       *string                   `json:"altTelephoneNumber"`
	Pronouns                 *string                   `json:"pronouns"`
	CommunicationPreferences *CommunicationPreferences `json:"communicationPreferences,omitzero"`
	AvatarURL                *string                   `json:"avatarUrl"`
	DOB                      *string                   `json:"dob"`
	Nationality              *string                   `json:"nationality"`
	NINumber                 *string                   `json:"niNumber"`
	Occupation               *string                   `json:"occupation"`
	Address                  *Address                  `json:"address,omitzero"`
}

// CommunicationPreferences are the channels through which a client agreed to be contacted. One that the caller does not name is false.
type CommunicationPreferences struct {
	Email bool `json:"email"`
	Phone bool `json:"phone"`
	SMS   bool `json:"sms"`
	Post  bool `json:"post"`
}

// Address is a postal address. Line1 and Postcode are required. The others are nil if unknown, and omitted from JSON.
type Address struct {
	Line1    string  `json:"line_1"`
	Line2    *string `json:"line_2,omitzero"`
	Line3    *string `json:"line_3,omitzero"`
	PostTown *string `json:"post_town,omitzero"`
	County   *string `json:"county,omitzero"`
	Postcode string  `json:"postcode"`
	UPRN     *string `json:"uprn,omitzero"`
}

// Client is the record that GET /api/v2/clients/{id} returns and client.created carries.
type Client struct {
	ID uuid.UUID `json:"id"`
	Details
	Status Status `json:"status"`

	// Fingerprint is that of the command that created the client.
	Fingerprint Fingerprint `json:"-"`
	// Caller and KeyID are those of the command, or "" for a client of version 0.1.
	Caller string `json:"-"`
	KeyID  string `json:"-"`
	// AcceptedAt is when the ingress accepted the command, CreatedAt when the worker created the record; UTC, microseconds.
	AcceptedAt time.Time `json:"-"`
	CreatedAt  time.Time `json:"-"`
}

// JSON returns the record as callers and subscribers receive it. Equal clients have equal JSON.
func (c Client) JSON() ([]byte, error) { return json.Marshal(c) }

// Timestamp returns t in UTC, truncated to microseconds: the precision that every store keeps.
func Timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// ParseTimestamp parses a time in RFC 3339 and returns its Timestamp. Its year in UTC must be from 0 to 9999. The error does not quote s.
func ParseTimestamp(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if year := t.UTC().Year(); err != nil || year < 0 || year > 9999 {
		return time.Time{}, errors.New("is not a time in RFC 3339 format")
	}
	return Timestamp(t), nil
}
