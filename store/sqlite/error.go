package sqlite

import (
	"errors"
	"fmt"

	"clientele/domain"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// primaryCode masks the primary result code in an extended one.
const primaryCode = 0xff

// failure wraps an error of the database with what was being done. If SQLite refuses the content, the error has
// domain.CodeUnstorable. The text of these errors names tables, columns and constraints, never a value.
func failure(doing string, err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & primaryCode {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
			return domain.Errorf(domain.CodeUnstorable, "%s: %w", doing, err)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
