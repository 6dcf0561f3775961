// Package store is the contract of the database that holds the clients. Its primary key is the truth about which
// commands were carried out. Package storetest checks an implementation against it.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// Store keeps clients. It is safe for concurrent use, by many processes too where the database allows that.
//
// Its errors are about the database being away and are worth a retry, save those with a domain code and SchemaError.
type Store interface {
	// Create stores the clients that are not there yet, in one transaction, and leaves the others as they are. Result i
	// belongs to client i; of equal ids in one batch the first counts as the one that came first.
	//
	// When Create returns, what the results say is on disk. An error means that nothing is known to be stored, and calling
	// again with the same batch is always right. The code domain.CodeUnstorable says that the database refuses the content
	// of at least one client for good (SQLSTATE class 22 or 23), and that nothing was stored: halve the batch to find it.
	Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error)

	// Get returns the client with this id, or an error with domain.CodeNotFound.
	Get(ctx context.Context, id uuid.UUID) (domain.Client, error)

	// Count returns how many clients were created at from or later, and before to.
	Count(ctx context.Context, from, to time.Time) (int, error)

	// Page returns up to n of those clients, the first in the order of their ids whose ids are greater than after. As does
	// Count, it reads all clients: there is no index on the time, which each Create would pay for.
	Page(ctx context.Context, from, to time.Time, after uuid.UUID, n int) ([]domain.Client, error)

	// Find returns the clients that match the query: the first n in the order of their ids, and how many match in all. It
	// reads the names of all clients, as there is no index on them, which each Create would pay for.
	Find(ctx context.Context, q Query, n int) (clients []domain.Client, total int, err error)

	Archiver

	// Delete removes the client with this id, if there is one, and what the database alone decides to keep of it for a
	// while. It is for erasure: nothing else deletes.
	Delete(ctx context.Context, id uuid.UUID) error

	// Ready returns nil when the database answers and has the schema of this program; a SchemaError when it answers and
	// has another.
	Ready(ctx context.Context) error

	// Migrate brings the schema to this program's version and returns the versions before and after. It refuses with a
	// SchemaError to touch a newer one. Several programs may call it at once.
	Migrate(ctx context.Context) (from, to int64, err error)

	// Close waits for calls in progress and frees what the store holds.
	Close() error
}

// Archiver copies all clients out of a database and into an empty one, for backups.
type Archiver interface {
	// Export calls yield with every client, in the order of their ids, as all of them were at one moment during the call.
	// An error of yield ends it, and is returned.
	Export(ctx context.Context, yield func(domain.Client) error) error

	// Load stores the clients exactly as they are, in one transaction, and returns how many. It is for restoring a backup:
	// it returns ErrNotEmpty if the database has a client already. An error of the sequence ends it, and is returned. After
	// an error nothing is stored.
	Load(ctx context.Context, clients iter.Seq2[domain.Client, error]) (int, error)
}

// ErrNotEmpty is what Load returns for a database that has clients.
var ErrNotEmpty = errors.New("the database has clients already")
