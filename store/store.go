// Package store defines the contract of the database that stores the clients. Its primary key determines which commands
// created a client. Package storetest tests implementations of the contract.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

// Store stores clients. It is safe for concurrent use, by several processes if the database allows it.
//
// An error means that the database is unavailable, and the call may be retried. Errors with a domain code, *SchemaError and
// *HeldError are permanent.
type Store interface {
	Writer

	Reader

	Archiver

	Redoable

	Eraser

	Describer

	// Ready returns nil if the database answers and this program can use its schema, or else a *SchemaError. Programs can use newer
	// schemas that only add to theirs.
	Ready(ctx context.Context) error

	// Writable returns the error of Ready, or one that says why Create may not store clients.
	Writable(ctx context.Context) error

	// Migrate migrates the schema to this program's version or leaves a newer one, and returns the versions before and after. It
	// returns a *SchemaError if this program cannot use the newer schema. Several programs may call it at once.
	Migrate(ctx context.Context) (from, to int64, err error)

	// Close waits for calls in progress and closes the connections.
	Close() error
}

// Writer stores the outcomes of commands.
type Writer interface {
	// Create stores the clients whose ids are free, in one transaction, and does not change existing ones. Ids that were erased
	// are not free. Result i belongs to client i. If ids in a batch are equal, the first client is created before the others.
	//
	// When Create returns results, they are on disk. An error means that nothing is known to be stored: call Create again with
	// the same batch. With domain.CodeUnstorable nothing is stored, because the database refuses the content of at least one
	// client (SQLSTATE class 22 or 23, or 54000). Halve the batch to find it.
	Create(ctx context.Context, clients []domain.Client) ([]domain.CreateResult, error)

	// RecordRejections records the operations of these rejections, in place of earlier records of the same ids. It leaves out
	// rejections without an operation that a caller could list, those of erased clients, and records that the database refuses for their
	// content: the worker must get past them. When it returns nil, the other records are on disk. They say where to look: the rejections
	// are on their stream, and an operator can retry or drop them.
	RecordRejections(ctx context.Context, rejections []domain.Rejection) error

	// TrimRejections removes the records of the n oldest rejections before this time, or of fewer, and returns their number. Several
	// programs may call it at once.
	TrimRejections(ctx context.Context, before time.Time, n int) (int, error)
}

// Reader reads clients and operations.
type Reader interface {
	// Get returns the client with this id, or an error with domain.CodeNotFound.
	Get(ctx context.Context, id uuid.UUID) (domain.Client, error)

	// GetAll returns those of the clients with these ids that exist, by their ids.
	GetAll(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]domain.Client, error)

	// Count returns the number of clients created at or after from and before to.
	Count(ctx context.Context, from, to time.Time) (int, error)

	// Page returns the first n of those clients whose ids are greater than after, in the order of their ids. Page and Count read
	// all clients, unless the database has an index on the time that does not slow down Create.
	Page(ctx context.Context, from, to time.Time, after uuid.UUID, n int) ([]domain.Client, error)

	// Find returns the first n clients that match the query, in the order of their ids, and the total number of matches. It reads
	// the names of all clients: an index on them would slow down every Create.
	Find(ctx context.Context, q Query, n int) (clients []domain.Client, total int, err error)

	// Operations returns the first n completed operations of a caller, in the order of the time of completion and of their ids. It
	// begins after the operation with the time from and the id after; with uuid.Nil it includes those with this time. A status of ""
	// means all. An operation with a client succeeded, whatever was rejected under its id. Reason and Errors are not set.
	Operations(ctx context.Context, caller string, status domain.OperationStatus, from time.Time, after uuid.UUID, n int) ([]domain.Operation, error)
}

// Eraser erases clients, and keeps the marks that erasures and legal holds leave.
type Eraser interface {
	// Erase removes the client with this id and stores its tombstone, in one transaction, and reports whether the client existed.
	// From then on Create never stores a client with this id. An earlier tombstone of the id stays unchanged. With a hold that
	// counts at the time of the tombstone, Erase returns a *HeldError and changes nothing. The database may keep deleted data on
	// disk for a while; implementations document how long.
	Erase(ctx context.Context, id uuid.UUID, tombstone domain.Erasure) (existed bool, err error)

	// Hold stores a legal hold in place of an earlier one of the same client, or returns an error with domain.CodeErased if the
	// client was erased. When Hold returns nil, no Erase succeeds until the hold has expired or is released.
	Hold(ctx context.Context, hold domain.Hold) error

	// Release removes the legal hold of the client with this id, and reports whether there was one.
	Release(ctx context.Context, id uuid.UUID) (held bool, err error)

	// Marks returns the tombstones and the holds of these ids, or without ids all of them.
	Marks(ctx context.Context, ids ...uuid.UUID) (Marks, error)
}

// Archiver copies all clients and marks out of a database and into an empty one, for backups.
type Archiver interface {
	// Export calls yield with every client of one snapshot, in the order of their ids, and returns the marks of that snapshot. If
	// yield returns an error, Export stops and returns it.
	Export(ctx context.Context, yield func(domain.Client) error) (Marks, error)

	// Load stores the clients and the marks unchanged, in one transaction, and returns the number of clients. It is for restoring
	// a backup: it returns ErrNotEmpty if the database has clients or marks. If the sequence yields an error, Load stops and
	// returns it. After an error nothing is stored.
	Load(ctx context.Context, clients iter.Seq2[domain.Client, error], marks Marks) (int, error)
}

// ErrNotEmpty is the error of Load for a database that has clients, tombstones or legal holds.
var ErrNotEmpty = errors.New("the database already has clients, tombstones or legal holds")

// Redoable tells which clients of the events stream a database lacks, so that they can be stored again.
type Redoable interface {
	// Position returns the position that SetPosition stored last in this database, and the server that is behind the connection
	// now. A new database has the zero domain.Position. A database that loses its last transactions loses the later positions, too.
	Position(ctx context.Context) (p domain.Position, server string, err error)

	// SetPosition stores a position, and reports whether it did. It does not if p.Server is no longer behind the connection.
	SetPosition(ctx context.Context, p domain.Position) (bool, error)

	// Free returns those of the ids under which Create would store a client: neither a client nor a tombstone has them.
	Free(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error)
}
