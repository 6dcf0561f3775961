// Package domain holds what Clientele is about, free of I/O: the client record, the command that creates one, how
// outside bytes become either, and the messages that tell of the outcome.
package domain

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Status is where a client stands with its portal account.
type Status string

// The statuses of the API's reference page. A new client is NotInvited.
const (
	StatusActive     Status = "Active"
	StatusClosed     Status = "Closed"
	StatusInvited    Status = "Invited"
	StatusNotInvited Status = "NotInvited"
	StatusSendFailed Status = "SendFailed"
)

// Details are the members of a client that its caller writes. Nil means unknown and is null in JSON; Address and
// CommunicationPreferences are left out instead, as the reference page has them as plain objects.
//
// The order of the members is the order in JSON, and Fingerprint hashes that JSON: add members, never reorder them.
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

// CommunicationPreferences says by which channels a client agreed to be contacted. A channel that the caller did not
// name is false: silence is not consent.
type CommunicationPreferences struct {
	Email bool `json:"email"`
	Phone bool `json:"phone"`
	SMS   bool `json:"sms"`
	Post  bool `json:"post"`
}

// Address is a postal address. Line1 and Postcode are always there; the others are nil, and left out of JSON, when
// unknown.
type Address struct {
	Line1    string  `json:"line_1"`
	Line2    *string `json:"line_2,omitzero"`
	Line3    *string `json:"line_3,omitzero"`
	PostTown *string `json:"post_town,omitzero"`
	County   *string `json:"county,omitzero"`
	Postcode string  `json:"postcode"`
	UPRN     *string `json:"uprn,omitzero"`
}

// Client is the record: what GET /api/v2/clients/{id} returns and client.created carries.
type Client struct {
	ID uuid.UUID `json:"id"`
	Details
	Status Status `json:"status"`

	// Fingerprint is that of the command that created the client.
	Fingerprint Fingerprint `json:"-"`
	// AcceptedAt is when the ingress took the command, CreatedAt when the worker made the record; UTC, microseconds.
	AcceptedAt time.Time `json:"-"`
	CreatedAt  time.Time `json:"-"`
}

// JSON returns the record as callers and subscribers see it. Equal clients give equal bytes.
func (c Client) JSON() ([]byte, error) { return json.Marshal(c) }

// Timestamp returns t as Clientele keeps times: in UTC and whole microseconds, what every store can hold unchanged.
func Timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// ParseTimestamp reads a time in the form of RFC 3339 as a Timestamp. Its year in UTC must have four digits, or the time
// could not be written again in that form, nor in JSON. The error does not repeat s.
func ParseTimestamp(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if year := t.UTC().Year(); err != nil || year < 0 || year > 9999 {
		return time.Time{}, errors.New("is not a time by RFC 3339")
	}
	return Timestamp(t), nil
}
