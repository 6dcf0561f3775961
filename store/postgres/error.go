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

// refusesContent reports whether the server refuses the content of a statement: its data (SQLSTATE class 22), by a constraint (23), or
// because it exceeds a limit, such as that of an index row (54).
func refusesContent(state string) bool {
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || strings.HasPrefix(state, "54")
}

// failure wraps an error with what was being done. If the server refuses the content, the error has domain.CodeUnstorable, and its text
// has only the SQLSTATE and the constraint or column: the server's messages contain values.
func (s *Store) failure(doing string, err error) error {
	state := sqlState(err)
	if state == readOnlyTransaction {
		s.log.Warn().Msg("the database is read-only now; looking for the primary")
		s.pool.Reset() // new connections find the primary
	}
	if refusesContent(state) {
		e, _ := errors.AsType[*pgconn.PgError](err)
		return domain.Errorf(domain.CodeUnstorable, "%s: SQLSTATE %s", doing,
			strings.TrimSpace(state+" "+e.ConstraintName+e.ColumnName))
	}
	return fmt.Errorf("%s: %w", doing, err)
}
