package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// columns are those of a client, in the order of values and of scan.
const columns = `id, first_name, last_name, email_address, title, middle_name, company_name, telephone_number,
	alt_telephone_number, pronouns, prefers_email, prefers_phone, prefers_sms, prefers_post, avatar_url, dob, nationality,
	ni_number, occupation, address_line_1, address_line_2, address_line_3, address_post_town, address_county,
	address_postcode, address_uprn, status, fingerprint, accepted_at, created_at`

const (
	insertClient = `INSERT INTO clients (` + columns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO NOTHING`
	selectClient = `SELECT ` + columns + ` FROM clients WHERE id = ?`
)

// Create stores the clients that are not there yet, as store.Store has it.
func (s *Store) Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	s.calls.RLock()
	defer s.calls.RUnlock()
	results, err := s.create(ctx, clients)
	if err != nil {
		return nil, failure(fmt.Sprintf("insert batch of %d", len(clients)), err)
	}
	return results, nil
}

func (s *Store) create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // does nothing after the commit
	insert, err := tx.PrepareContext(ctx, insertClient)
	if err != nil {
		return nil, err
	}
	defer insert.Close()
	results := make([]domain.CreateResult, len(clients))
	for i := range clients {
		c := &clients[i]
		done, err := insert.ExecContext(ctx, values(c)...)
		if err != nil {
			return nil, err
		}
		inserted, err := done.RowsAffected()
		if err != nil {
			return nil, err
		}
		if inserted > 0 {
			results[i] = domain.CreateResult{Outcome: domain.Created, Client: *c}
			continue
		}
		held, err := scan(tx.QueryRowContext(ctx, selectClient, c.ID.String()))
		if err != nil {
			return nil, err
		}
		results[i] = domain.CreateResult{Outcome: domain.Conflict, Client: held}
		if held.Fingerprint == c.Fingerprint {
			results[i].Outcome = domain.Replayed
		}
	}
	return results, tx.Commit()
}

// values returns the columns of a client.
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
	return []any{
		c.ID.String(), c.FirstName, c.LastName, c.EmailAddress, c.Title, c.MiddleName, c.CompanyName, c.TelephoneNumber,
		c.AltTelephoneNumber, c.Pronouns, email, phone, sms, post, c.AvatarURL, c.DOB, c.Nationality,
		c.NINumber, c.Occupation, line1, address.Line2, address.Line3, address.PostTown, address.County,
		postcode, address.UPRN, string(c.Status), c.Fingerprint[:], c.AcceptedAt.UnixMicro(), c.CreatedAt.UnixMicro(),
	}
}

// scan reads the columns of a client.
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
		&address.County, &postcode, &address.UPRN, &c.Status, &fingerprint, &accepted, &created)
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

// primaryCode masks the primary result code in an extended one.
const primaryCode = 0xff

// failure wraps an error of the database with what was being done. What SQLite refuses for its content becomes
// domain.CodeUnstorable; the text of these errors names tables, columns and constraints, never a value.
func failure(doing string, err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & primaryCode {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			return domain.Errorf(domain.CodeUnstorable, "%s: %w", doing, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
