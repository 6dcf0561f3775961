package store

import (
	"context"
	"time"
)

// Describer says what a database is.
type Describer interface {
	// Describe returns what the database says about itself. It changes nothing, and needs no schema.
	Describe(ctx context.Context) (Description, error)
}

// Description is what a database says about itself, for an operator. It has no client data.
type Description struct {
	// Product and Version name the server or the library, such as PostgreSQL and 17.6.
	Product, Version string
	// Schema is the state of the tables, Program the schema version of this program.
	Schema  Schema
	Program int64
	// Now is the time by the clock of the server; zero for a database without a clock of its own.
	Now time.Time
	// Unsafe are the settings with which the server can lose a committed transaction, such as "fsync = off".
	Unsafe []string
	// Lacking are the rights on tables that an operator's commands need and this role does not have, such as "DELETE on clients".
	Lacking []string
	// CertificateExpires is when the certificate of the server expires; zero for a connection without TLS.
	CertificateExpires time.Time
}
