package importer

import (
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"clientele/domain"
)

// originalNumber returns the number in text, which a rejected row had in the original file, or else otherwise.
func originalNumber(text string, otherwise int) int {
	if number, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && number > 0 {
		return number
	}
	return otherwise
}

// row is one client of a file.
type row struct {
	order  int    // position among the rows of this file
	number int    // spreadsheet row or text line, from 1; the header of a CSV file is 1. Rejects keep that of the original file
	raw    any    // the input for reject
	body   []byte // of the request
	id     string // value of the key column
	key    string // idempotency key
	err    string // why the row cannot be sent
}

// rows reads the rows of a file and writes the rejected ones.
type rows interface {
	// next returns io.EOF at the end. After another error, the rest cannot be read.
	next() (row, error)
	// head writes the head of a rejects file.
	head(w io.Writer) error
	// reject writes a row with its number and the reasons, so that it can be corrected and imported again.
	reject(w io.Writer, r row, reasons []string) error
	// areRejects reports whether the file has the columns or members that reject adds.
	areRejects() bool
}

// The columns of a rejects file for the row's number and the reasons. They are not sent.
const (
	columnRow    = "import_row"
	columnErrors = "import_errors"
)

func isBookkeeping(column string) bool { return column == columnRow || column == columnErrors }

// members are the possible names of a column: the API's members of a client, with dots for nesting. The value is true for boolean
// members.
var members = func() map[string]bool {
	found := map[string]bool{}
	var add func(t reflect.Type, prefix string)
	add = func(t reflect.Type, prefix string) {
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				add(inner, prefix+name+".")
			} else {
				found[prefix+name] = inner.Kind() == reflect.Bool
			}
		}
	}
	add(reflect.TypeFor[domain.Details](), "")
	return found
}()

func memberNames() []string { return slices.Sorted(maps.Keys(members)) }
