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

// originalNumber returns the number that a rejected row had in the first file.
func originalNumber(text string, otherwise int) int {
	if number, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && number > 0 {
		return number
	}
	return otherwise
}

// row is one client of a file.
type row struct {
	order  int    // position among the rows of this file
	number int    // as a spreadsheet counts, or an editor lines: the header of a CSV file is 1. Of rejects, that in the first file
	raw    any    // as the rejects file needs it
	body   []byte // the request
	id     string // value of the key column
	key    string // idempotency key
	err    string // why the row cannot be sent
}

// rows reads a file, and writes those of its rows that are rejected.
type rows interface {
	// next returns io.EOF at the end. Another error says that the rest cannot be read.
	next() (row, error)
	// head writes what a file of rejects begins with.
	head(w io.Writer) error
	// reject writes a row with its number and the reasons, so that it can be corrected and imported again.
	reject(w io.Writer, r row, reasons []string) error
	// areRejects reports whether the file has what reject writes.
	areRejects() bool
}

// The names under which a rejects file has the row's number and the reasons. An import leaves them out.
const (
	columnRow    = "import_row"
	columnErrors = "import_errors"
)

func isBookkeeping(column string) bool { return column == columnRow || column == columnErrors }

// members are what a column may be called: the members of a client as the API has them, those of an object in it behind a dot.
// Those that are true or false have true here.
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
