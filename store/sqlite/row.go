package sqlite

import (
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
)

const (
	insertClient = `INSERT INTO clients (` + store.Columns + `)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
		WHERE NOT EXISTS (SELECT 1 FROM erasures WHERE hash = ?)
		ON CONFLICT (id) DO NOTHING`
	selectClient = `SELECT ` + store.Columns + ` FROM clients WHERE id = ?`
)

// values returns the values of insertClient: those of store.Columns, and the hash of the id.
func values(c *domain.Client) []any {
	var email, phone, sms, post *bool
	if p := c.CommunicationPreferences; p != nil {
		email, phone, sms, post = &p.Email, &p.Phone, &p.SMS, &p.Post
	}
	var line1, postcode *string
	var address domain.Address
	if c.Address != nil {
		address = *c.Address
		line1, postcode = &address.Line1, &address.Postcode
	}
	hash := domain.ErasureHash(c.ID)
	return []any{
		c.ID.String(), c.FirstName, c.LastName, c.EmailAddress, c.Title, c.MiddleName, c.CompanyName, c.TelephoneNumber,
		c.AltTelephoneNumber, c.Pronouns, email, phone, sms, post, c.AvatarURL, c.DOB, c.Nationality,
		c.NINumber, c.Occupation, line1, address.Line2, address.Line3, address.PostTown, address.County,
		postcode, address.UPRN, string(c.Status), c.Fingerprint[:], c.Caller, c.KeyID,
		c.AcceptedAt.UnixMicro(), c.CreatedAt.UnixMicro(),
		hash[:],
	}
}

// scan reads store.Columns.
func scan(row interface{ Scan(dest ...any) error }) (domain.Client, error) {
	var (
		c                       domain.Client
		id                      string
		email, phone, sms, post *bool
		line1, postcode         *string
		address                 domain.Address
		fingerprint             []byte
		accepted, created       int64
	)
	err := row.Scan(&id, &c.FirstName, &c.LastName, &c.EmailAddress, &c.Title, &c.MiddleName, &c.CompanyName,
		&c.TelephoneNumber, &c.AltTelephoneNumber, &c.Pronouns, &email, &phone, &sms, &post, &c.AvatarURL, &c.DOB,
		&c.Nationality, &c.NINumber, &c.Occupation, &line1, &address.Line2, &address.Line3, &address.PostTown,
		&address.County, &postcode, &address.UPRN, &c.Status, &fingerprint, &c.Caller, &c.KeyID,
		&accepted, &created)
	if err != nil {
		return domain.Client{}, err
	}
	if c.ID, err = uuid.Parse(id); err != nil {
		return domain.Client{}, err
	}
	if email != nil {
		c.CommunicationPreferences = &domain.CommunicationPreferences{Email: *email, Phone: *phone, SMS: *sms, Post: *post}
	}
	if line1 != nil {
		address.Line1, address.Postcode = *line1, *postcode
		c.Address = &address
	}
	copy(c.Fingerprint[:], fingerprint)
	c.AcceptedAt, c.CreatedAt = time.UnixMicro(accepted).UTC(), time.UnixMicro(created).UTC()
	return c, nil
}
