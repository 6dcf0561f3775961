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
	programLimitExceeded  = "54000"
)

// sqlState returns the SQLSTATE of an error, or "" if the error is not from the server.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// refusesContent reports whether the server refuses the content of a statement: its data (SQLSTATE class 22), by a constraint (23), or
// because it exceeds a limit, such as that of an index row (54000). A server that has no transaction ids left returns 54000 as well, for
// whatever is written: that is an outage.
func refusesContent(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	if e.Code == programLimitExceeded {
		return e.Routine != "GetNewTransactionId" && e.Routine != "GetNewMultiXactId"
	}
	return strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23")
}

// failure wraps an error with what was being done. If the server refuses the content, the error has domain.CodeUnstorable, and its text
// has only the SQLSTATE and the constraint or column: the server's messages contain values.
func (s *Store) failure(doing string, err error) error {
	state := sqlState(err)
	if state == readOnlyTransaction {
		s.log.Warn().Msg("the database is read-only now; looking for the primary")
		s.pool.Reset() // new connections find the primary
	}
	if refusesContent(err) {
		e, _ := errors.AsType[*pgconn.PgError](err)
		return domain.Errorf(domain.CodeUnstorable, "%s: SQLSTATE %s", doing,
			strings.TrimSpace(state+" "+e.ConstraintName+e.ColumnName))
	}
	return fmt.Errorf("%s: %w", doing, err)
}
