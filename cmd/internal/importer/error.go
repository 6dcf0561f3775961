package importer

import (
	"fmt"
	"strconv"
	"strings"
)

// ConfigError means that a field of Config does not fit the file or another field.
type ConfigError struct {
	Field string // KeyColumn or Map
	Err   error
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

func configErrorf(field, format string, args ...any) error {
	return &ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}

// ColumnError means that a CSV file has columns whose names are not members of a client.
type ColumnError struct {
	Columns   []string
	Members   []string // the names that a column may have
	Delimiter rune     // that the file probably has instead of Config.Delimiter, or 0
}

func (e *ColumnError) Error() string {
	if e.Delimiter != 0 {
		return fmt.Sprintf("the header is one column, %q", e.Columns[0])
	}
	what := "column %s is not a member"
	if len(e.Columns) > 1 {
		what = "columns %s are not members"
	}
	quoted := make([]string, len(e.Columns))
	for i, column := range e.Columns {
		quoted[i] = strconv.Quote(column)
	}
	return fmt.Sprintf(what+" of a client; the members are %s", strings.Join(quoted, ", "), strings.Join(e.Members, ", "))
}

// RejectsError means that the file for rejected rows cannot be written.
type RejectsError struct{ Err error }

func (e *RejectsError) Error() string { return "write the rejected rows: " + e.Err.Error() }
func (e *RejectsError) Unwrap() error { return e.Err }

// RedirectError means that the API redirects to another host. The importer does not follow: the token and the clients must reach
// only the configured URL.
type RedirectError struct {
	Status int
	Host   string // of the Location; its path and query may be secret
}

func (e *RedirectError) Error() string {
	return fmt.Sprintf("the API answers %d and redirects to %s", e.Status, e.Host)
}

// RefusedError means that the API refuses every row, such as for its token.
type RefusedError struct {
	URL     string
	Status  int
	Reasons []string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s responded with %d: %s", e.URL, e.Status, strings.Join(e.Reasons, "; "))
}
