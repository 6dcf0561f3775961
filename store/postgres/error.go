package postgres

import (
	"errors"
	"fmt"
	"strings"

	"clientele/domain"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that mean something of their own.
const (
	readOnlyTransaction = "25006"
	undefinedTable      = "42P01"
)

// sqlState returns the SQLSTATE of an error, "" if the server did not send it.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// failure wraps an error with what was being done. What the server refuses for its content, SQLSTATE class 22 or 23,
// becomes domain.CodeUnstorable, with a text that names the state and what it is about only: the server's own texts
// hold values.
func (s *Store) failure(doing string, err error) error {
	state := sqlState(err)
	if state == readOnlyTransaction {
		s.log.Warn().Msg("the database has become read-only, looking for the primary")
		s.pool.Reset() // the next connections do the looking
	}
	if strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") {
		e, _ := errors.AsType[*pgconn.PgError](err)
		return domain.Errorf(domain.CodeUnstorable, "%s: SQLSTATE %s", doing,
			strings.TrimSpace(state+" "+e.ConstraintName+e.ColumnName))
	}
	return fmt.Errorf("%s: %w", doing, err)
}
