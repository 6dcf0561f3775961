package postgres

import (
	"time"

	"clientele/domain"

	"github.com/jackc/pgx/v5"
)

// scan reads store.Columns.
func scan(row pgx.Row) (domain.Client, error) {
	var (
		c                       domain.Client
		email, phone, sms, post *bool
		dob                     *time.Time
		line1, postcode         *string
		address                 domain.Address
		fingerprint             []byte
	)
	err := row.Scan((*[16]byte)(&c.ID), &c.FirstName, &c.LastName, &c.EmailAddress, &c.Title, &c.MiddleName, &c.CompanyName,
		&c.TelephoneNumber, &c.AltTelephoneNumber, &c.Pronouns, &email, &phone, &sms, &post, &c.AvatarURL, &dob,
		&c.Nationality, &c.NINumber, &c.Occupation, &line1, &address.Line2, &address.Line3, &address.PostTown,
		&address.County, &postcode, &address.UPRN, (*string)(&c.Status), &fingerprint, &c.Caller, &c.KeyID,
		&c.AcceptedAt, &c.CreatedAt)
	if err != nil {
		return domain.Client{}, err
	}
	if email != nil {
		c.CommunicationPreferences = &domain.CommunicationPreferences{Email: *email, Phone: *phone, SMS: *sms, Post: *post}
	}
	if dob != nil {
		c.DOB = new(dob.Format(time.DateOnly))
	}
	if line1 != nil {
		address.Line1, address.Postcode = *line1, *postcode
		c.Address = &address
	}
	copy(c.Fingerprint[:], fingerprint)
	c.AcceptedAt, c.CreatedAt = c.AcceptedAt.UTC(), c.CreatedAt.UTC()
	return c, nil
}
