package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// csvRows are the rows of a CSV file (RFC 4180) with a header.
type csvRows struct {
	reader    *csv.Reader
	delimiter rune
	header    []string
	members   []string // the member for each column, or "" if the column is not sent
	keyColumn string
	keyAt     int // index of the key column, or -1
	rowAt     int // index of the column with the number of a rejected row, or -1
	order     int
	number    int
	line      int // the last line that was read, without blank lines after it
}

func newCSVRows(file io.Reader, delimiter rune, names map[string]string, keyColumn string) (*csvRows, error) {
	c := &csvRows{reader: csv.NewReader(file), delimiter: delimiter, keyColumn: keyColumn}
	c.reader.Comma = delimiter
	header, err := c.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: its first line names the columns, such as firstName,lastName,emailAddress,address.line_1")
	}
	if err != nil {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	c.count(header)
	c.header = header
	if err := c.readMembers(names); err != nil {
		return nil, err
	}
	for name := range names {
		if !slices.Contains(header, name) {
			return nil, configErrorf("Map", "the file has no column %q", name)
		}
	}
	if c.rowAt, err = c.column(columnRow); err != nil {
		return nil, err
	}
	if c.keyAt, err = c.column(keyColumn); err != nil {
		return nil, err
	}
	if keyColumn != "" && c.keyAt < 0 {
		return nil, configErrorf("KeyColumn", "the file has no column %q", keyColumn)
	}
	return c, nil
}

// readMembers finds the member for each column. The error is a *ColumnError if columns have none.
func (c *csvRows) readMembers(names map[string]string) error {
	var unknown []string
	for _, column := range c.header {
		if !utf8.ValidString(column) {
			return errors.New("the header is not UTF-8: save the file as UTF-8")
		}
		member, ok := c.memberOf(column, names)
		switch {
		case !ok:
			unknown = append(unknown, column)
		case member != "" && slices.Contains(c.members, member):
			return fmt.Errorf("two columns are named %s", member)
		}
		c.members = append(c.members, member)
	}
	if len(unknown) > 0 {
		return &ColumnError{Columns: unknown, Members: memberNames(), Delimiter: c.otherDelimiter()}
	}
	return nil
}

// memberOf returns the API's name of a column, or "" if the column is not sent. It returns false if the name is unknown.
func (c *csvRows) memberOf(column string, names map[string]string) (member string, ok bool) {
	member, mapped := names[column]
	if !mapped {
		member = strings.TrimSpace(column)
	}
	if member == "" || isBookkeeping(member) || member == c.keyColumn {
		return "", true
	}
	_, ok = members[member]
	return member, ok
}

// otherDelimiter returns the character that probably separates the columns, if the header has one column, or else 0.
func (c *csvRows) otherDelimiter() rune {
	if len(c.header) > 1 {
		return 0
	}
	for _, delimiter := range ";\t|," {
		if delimiter != c.delimiter && strings.ContainsRune(c.header[0], delimiter) {
			return delimiter
		}
	}
	return 0
}

// column returns the index of a column, or -1 if the header does not have it.
func (c *csvRows) column(name string) (int, error) {
	at := -1
	for i, column := range c.header {
		if strings.TrimSpace(column) != name {
			continue
		}
		if at >= 0 && name != "" {
			return 0, fmt.Errorf("two columns are named %s", name)
		}
		at = i
	}
	return at, nil
}

// count counts rows as a spreadsheet does: one for a record, even if it has several lines, and one for each blank line before it.
func (c *csvRows) count(record []string) {
	start, _ := c.reader.FieldPos(0)
	end, _ := c.reader.FieldPos(len(record) - 1)
	c.number += start - c.line
	c.line = end + strings.Count(record[len(record)-1], "\n")
}

func (c *csvRows) next() (row, error) {
	record, err := c.reader.Read()
	if broken, ok := errors.AsType[*csv.ParseError](err); ok && !errors.Is(err, csv.ErrFieldCount) {
		return row{}, fmt.Errorf("row %d: %w", c.number+broken.StartLine-c.line, err)
	}
	if err != nil && !errors.Is(err, csv.ErrFieldCount) {
		return row{}, err // such as io.EOF
	}
	c.count(record)
	if c.areRejects() {
		record = restore(record)
	}
	c.order++
	r := row{order: c.order, number: c.number, raw: record}
	if c.rowAt >= 0 && c.rowAt < len(record) {
		r.number = originalNumber(record[c.rowAt], r.number)
	}
	if err != nil {
		r.err = fmt.Sprintf("the row has %d columns, the header has %d", len(record), len(c.header))
		return r, nil //nolint:nilerr // the row is rejected
	}
	if c.keyAt >= 0 {
		r.id = record[c.keyAt]
	}
	client, reason := c.client(record)
	if reason != "" {
		r.err = reason
		return r, nil
	}
	r.body, err = json.Marshal(client)
	return r, err
}

// client returns the request body for a record, or the reason why the record is invalid.
func (c *csvRows) client(record []string) (client map[string]any, reason string) {
	client = map[string]any{}
	for i, value := range record {
		member := c.members[i]
		if value == "" || member == "" {
			continue
		}
		if !utf8.ValidString(value) {
			return nil, member + " is not UTF-8"
		}
		var typed any = value
		if members[member] {
			if yes, err := parseBool(value); err == nil {
				typed = yes
			} // otherwise validation reports the text, with every other broken rule
		}
		object := client
		if outer, inner, nested := strings.Cut(member, "."); nested {
			if _, ok := client[outer]; !ok {
				client[outer] = map[string]any{}
			}
			object, member = client[outer].(map[string]any), inner //nolint:forcetypeassert // the line above
		}
		object[member] = typed
	}
	return client, ""
}

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "y":
		return true, nil
	case "no", "n":
		return false, nil
	default:
		return strconv.ParseBool(strings.ToLower(s))
	}
}

func (c *csvRows) areRejects() bool {
	errorsAt, err := c.column(columnErrors)
	return c.rowAt >= 0 && errorsAt >= 0 && err == nil
}

func (c *csvRows) head(w io.Writer) error {
	return c.write(w, append(c.own(c.header), columnRow, columnErrors))
}

// reject writes surplus columns last, so that the other columns stay below their names.
func (c *csvRows) reject(w io.Writer, r row, reasons []string) error {
	record, _ := r.raw.([]string)
	named, surplus := record, []string(nil)
	if len(record) > len(c.header) {
		named, surplus = record[:len(c.header)], record[len(c.header):]
	}
	padded := append(slices.Clone(named), make([]string, len(c.header)-len(named))...)
	out := append(c.own(padded), strconv.Itoa(r.number), strings.Join(reasons, "; "))
	return c.write(w, defuse(append(out, surplus...)))
}

// own returns the values of the original columns, without those that reject adds.
func (c *csvRows) own(record []string) []string {
	var kept []string
	for i, value := range record {
		if !isBookkeeping(strings.TrimSpace(c.header[i])) {
			kept = append(kept, value)
		}
	}
	return kept
}

func (c *csvRows) write(w io.Writer, record []string) error {
	out := csv.NewWriter(w)
	out.Comma = c.delimiter
	_ = out.Write(record) // the writer keeps the error
	out.Flush()
	return out.Error()
}
