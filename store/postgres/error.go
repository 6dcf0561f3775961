package postgres

import (
	"errors"
	"fmt"
	"strings"

	"clientele/domain"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that the store handles (PostgreSQL documentation, appendix A).
const (
	readOnlyTransaction   = "25006"
	insufficientPrivilege = "42501"
	undefinedTable        = "42P01"
)

// sqlState returns the SQLSTATE of an error, or "" if the error is not from the server.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// failure wraps an error with what was being done. If the server refuses the content (SQLSTATE class 22 or 23), the error has
// domain.CodeUnstorable, and its text has only the SQLSTATE and the constraint or column: the server's messages contain values.
func (s *Store) failure(doing string, err error) error {
	state := sqlState(err)
	if state == readOnlyTransaction {
		s.log.Warn().Msg("the database is read-only now; looking for the primary")
		s.pool.Reset() // new connections find the primary
	}
	if strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") {
		e, _ := errors.AsType[*pgconn.PgError](err)
		return domain.Errorf(domain.CodeUnstorable, "%s: SQLSTATE %s", doing,
			strings.TrimSpace(state+" "+e.ConstraintName+e.ColumnName))
	}
	return fmt.Errorf("%s: %w", doing, err)
}
