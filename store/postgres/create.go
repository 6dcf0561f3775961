package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"clientele/domain"
	"clientele/store"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Create implements store.Store.
//
// The insert is one statement and so one transaction. Existing rows are read by a second statement: under READ COMMITTED the
// snapshot of the first one may not include the rows that it conflicted with.
func (s *Store) Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	rows := distinct(clients)
	inserted, err := insert(ctx, s.pool, rows)
	if err != nil {
		return nil, s.failure(fmt.Sprintf("insert batch of %d", len(clients)), err)
	}
	existing := make(map[uuid.UUID]*domain.Client, len(clients))
	var erased map[uuid.UUID]bool
	if len(inserted) < len(rows) {
		if erased, err = s.find(ctx, missing(rows, inserted), existing); err != nil {
			return nil, s.failure(fmt.Sprintf("read existing rows of batch of %d", len(clients)), err)
		}
	}
	results := make([]domain.CreateResult, len(clients))
	for i := range clients {
		c := &clients[i]
		switch found := existing[c.ID]; {
		case erased[c.ID]:
			results[i] = domain.CreateResult{Outcome: domain.Erased}
		case found == nil:
			results[i] = domain.CreateResult{Outcome: domain.Created, Client: *c}
			existing[c.ID] = c // for a later client in the batch with this id
		case found.Fingerprint == c.Fingerprint:
			results[i] = domain.CreateResult{Outcome: domain.Replayed, Client: *found}
		default:
			results[i] = domain.CreateResult{Outcome: domain.Conflict, Client: *found}
		}
	}
	return results, nil
}

// distinct returns the first client of each id, sorted by id. Concurrent batches then lock rows in the same order and never
// deadlock.
func distinct(clients []domain.Client) []*domain.Client {
	rows := make([]*domain.Client, len(clients))
	for i := range clients {
		rows[i] = &clients[i]
	}
	slices.SortStableFunc(rows, func(a, b *domain.Client) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return slices.CompactFunc(rows, func(a, b *domain.Client) bool { return a.ID == b.ID })
}

// missing returns the ids of the rows that were not inserted.
func missing(rows []*domain.Client, inserted [][16]byte) [][16]byte {
	done := make(map[[16]byte]bool, len(inserted))
	for _, id := range inserted {
		done[id] = true
	}
	var ids [][16]byte
	for _, c := range rows {
		if !done[c.ID] {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// querier is a pool, or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// insert stores the rows whose ids are free and returns those ids, in any order. It sends dates as text, so that the server
// refuses an invalid one. The array of tombstones is read once, by the index on the hash: the server would turn NOT EXISTS into
// a join that reads all tombstones.
func insert(ctx context.Context, db querier, rows []*domain.Client) ([][16]byte, error) {
	const insertClients = `INSERT INTO clients (` + store.Columns + `)
		SELECT ` + store.Columns + `
		FROM unnest(
			$1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::text[], $11::boolean[], $12::boolean[], $13::boolean[], $14::boolean[], $15::text[],
			$16::text[]::date[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[],
			$24::text[], $25::text[], $26::text[], $27::text[], $28::bytea[], $29::text[], $30::text[],
			$31::timestamptz[], $32::timestamptz[]
		) AS batch (` + store.Columns + `)
		WHERE NOT sha256(uuid_send(batch.id)) = ANY (ARRAY (SELECT hash FROM erasures WHERE hash = ANY ($33::bytea[])))
		ON CONFLICT (id) DO NOTHING
		RETURNING id`

	text := func(value func(*domain.Client) string) any { return column(rows, value) }
	nullable := func(value func(*domain.Client) *string) any { return column(rows, value) }
	prefers := func(value func(*domain.CommunicationPreferences) *bool) any {
		return column(rows, func(c *domain.Client) *bool {
			if c.CommunicationPreferences == nil {
				return nil
			}
			return value(c.CommunicationPreferences)
		})
	}
	address := func(value func(*domain.Address) *string) any {
		return column(rows, func(c *domain.Client) *string {
			if c.Address == nil {
				return nil
			}
			return value(c.Address)
		})
	}
	ids, err := db.Query(ctx, insertClients,
		column(rows, func(c *domain.Client) [16]byte { return c.ID }),
		text(func(c *domain.Client) string { return c.FirstName }),
		text(func(c *domain.Client) string { return c.LastName }),
		text(func(c *domain.Client) string { return c.EmailAddress }),
		nullable(func(c *domain.Client) *string { return c.Title }),
		nullable(func(c *domain.Client) *string { return c.MiddleName }),
		nullable(func(c *domain.Client) *string { return c.CompanyName }),
		nullable(func(c *domain.Client) *string { return c.TelephoneNumber }),
		nullable(func(c *domain.Client) *string { return c.AltTelephoneNumber }),
		nullable(func(c *domain.Client) *string { return c.Pronouns }),
		prefers(func(p *domain.CommunicationPreferences) *bool { return &p.Email }),
		prefers(func(p *domain.CommunicationPreferences) *bool { return &p.Phone }),
		prefers(func(p *domain.CommunicationPreferences) *bool { return &p.SMS }),
		prefers(func(p *domain.CommunicationPreferences) *bool { return &p.Post }),
		nullable(func(c *domain.Client) *string { return c.AvatarURL }),
		nullable(func(c *domain.Client) *string { return c.DOB }),
		nullable(func(c *domain.Client) *string { return c.Nationality }),
		nullable(func(c *domain.Client) *string { return c.NINumber }),
		nullable(func(c *domain.Client) *string { return c.Occupation }),
		address(func(a *domain.Address) *string { return &a.Line1 }),
		address(func(a *domain.Address) *string { return a.Line2 }),
		address(func(a *domain.Address) *string { return a.Line3 }),
		address(func(a *domain.Address) *string { return a.PostTown }),
		address(func(a *domain.Address) *string { return a.County }),
		address(func(a *domain.Address) *string { return &a.Postcode }),
		address(func(a *domain.Address) *string { return a.UPRN }),
		text(func(c *domain.Client) string { return string(c.Status) }),
		column(rows, func(c *domain.Client) []byte { return c.Fingerprint[:] }),
		text(func(c *domain.Client) string { return c.Caller }),
		text(func(c *domain.Client) string { return c.KeyID }),
		column(rows, func(c *domain.Client) time.Time { return c.AcceptedAt }),
		column(rows, func(c *domain.Client) time.Time { return c.CreatedAt }),
		column(rows, func(c *domain.Client) []byte {
			hash := domain.ErasureHash(c.ID)
			return hash[:]
		}))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(ids, pgx.RowTo[[16]byte])
}

// column returns one value of each row as an array for unnest.
func column[T any](rows []*domain.Client, value func(*domain.Client) T) pgtype.FlatArray[T] {
	values := make(pgtype.FlatArray[T], len(rows))
	for i, c := range rows {
		values[i] = value(c)
	}
	return values
}

// find puts the clients with these ids into existing, and returns the other ids, which were erased. It returns an error if an id
// was neither used nor erased.
func (s *Store) find(ctx context.Context, ids [][16]byte, existing map[uuid.UUID]*domain.Client) (map[uuid.UUID]bool, error) {
	found, err := s.all(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i := range found {
		existing[found[i].ID] = &found[i]
	}
	return s.erased(ctx, slices.DeleteFunc(ids, func(id [16]byte) bool { return existing[id] != nil }))
}

// erased returns these ids, or an error if one was not erased.
func (s *Store) erased(ctx context.Context, ids [][16]byte) (map[uuid.UUID]bool, error) {
	erased := make(map[uuid.UUID]bool, len(ids))
	if len(ids) == 0 {
		return erased, nil
	}
	rows, err := s.pool.Query(ctx, `SELECT id FROM unnest($1::uuid[]) AS batch (id)
		WHERE (SELECT hash FROM erasures WHERE hash = sha256(uuid_send(batch.id))) IS NOT NULL`, pgtype.FlatArray[[16]byte](ids))
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, err
	}
	if len(found) < len(ids) {
		return nil, errors.New("a row was deleted concurrently")
	}
	for _, id := range found {
		erased[id] = true
	}
	return erased, nil
}
