package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"clientele/domain"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

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

// csvRows are the rows of a CSV file (RFC 4180) with a header.
type csvRows struct {
	reader    *csv.Reader
	header    []string
	members   []string // of each column, "" for one that is left out
	delimiter rune
	number    int
	headed    bool // the rejects have their header
}

func newCSVRows(file io.Reader, delimiter rune, names map[string]string) (*csvRows, error) {
	c := &csvRows{reader: csv.NewReader(file), delimiter: delimiter, number: 1}
	c.reader.Comma = delimiter
	header, err := c.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: its first line names the columns, such as firstName,lastName,emailAddress,address.line_1")
	}
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	c.header = header
	for _, column := range header {
		if !utf8.ValidString(column) {
			return nil, errors.New("the header is not UTF-8: save the file as UTF-8")
		}
		member, mapped := names[column]
		if !mapped {
			member = strings.TrimSpace(column)
		}
		if member == columnRow || member == columnErrors {
			member = ""
		}
		if _, ok := members[member]; !ok && member != "" {
			return nil, fmt.Errorf("column %q is nothing that a client has: rename it, or give --map %q; a client has %s", column,
				column+"=member", strings.Join(slices.Sorted(maps.Keys(members)), ", "))
		}
		if member != "" && slices.Contains(c.members, member) {
			return nil, fmt.Errorf("two columns are %s", member)
		}
		c.members = append(c.members, member)
	}
	for name := range names {
		if !slices.Contains(header, name) {
			return nil, fmt.Errorf("--map names a column %q, and the file has none", name)
		}
	}
	return c, nil
}

func (c *csvRows) next() (row, error) {
	record, err := c.reader.Read()
	c.number++
	r := row{number: c.number, raw: record}
	switch {
	case errors.Is(err, io.EOF):
		return r, io.EOF
	case errors.Is(err, csv.ErrFieldCount):
		r.err = fmt.Sprintf("it has %d columns, the header has %d", len(record), len(c.header))
		return r, nil
	case err != nil:
		return r, fmt.Errorf("row %d: %w", c.number, err)
	}
	client := map[string]any{}
	for i, value := range record {
		if value == "" || c.members[i] == "" {
			continue
		}
		if !utf8.ValidString(value) {
			r.err = c.members[i] + " is not UTF-8"
			return r, nil
		}
		var typed any = value
		if members[c.members[i]] {
			yes, err := parseBool(value)
			if err != nil {
				r.err = c.members[i] + " must be true or false"
				return r, nil //nolint:nilerr // the row is rejected
			}
			typed = yes
		}
		object, member := client, c.members[i]
		if outer, inner, nested := strings.Cut(member, "."); nested {
			if _, ok := client[outer]; !ok {
				client[outer] = map[string]any{}
			}
			object, member = client[outer].(map[string]any), inner //nolint:forcetypeassert // the line above
		}
		object[member] = typed
	}
	r.body, err = json.Marshal(client, json.Deterministic(true))
	return r, err
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

func (c *csvRows) reject(w io.Writer, r row, reasons []string) error {
	out := csv.NewWriter(w)
	out.Comma = c.delimiter
	own := func(i int) bool { return c.header[i] != columnRow && c.header[i] != columnErrors }
	write := func(record []string, more ...string) {
		var kept []string
		for i, value := range record {
			if i >= len(c.header) || own(i) {
				kept = append(kept, value)
			}
		}
		_ = out.Write(append(kept, more...)) // the writer keeps the error
	}
	if !c.headed {
		write(c.header, columnRow, columnErrors)
		c.headed = true
	}
	record, _ := r.raw.([]string)
	padded := append(slices.Clone(record), make([]string, max(0, len(c.header)-len(record)))...)
	write(padded, strconv.Itoa(r.number), strings.Join(reasons, "; "))
	out.Flush()
	return out.Error()
}

// lineRows are the rows of a file with a JSON object a line.
type lineRows struct {
	file   *bufio.Reader
	number int
}

// maxLine is the most bytes of a line: more than the API takes, and little enough to hold.
const maxLine = 1 << 20

func (l *lineRows) next() (row, error) {
	for {
		line, err := l.line()
		if err != nil {
			return row{}, err
		}
		l.number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		r := row{number: l.number, raw: line}
		var object map[string]jsontext.Value
		if err := json.Unmarshal(line, &object); err != nil {
			r.err = "it is not a JSON object"
			return r, nil //nolint:nilerr // the row is rejected
		}
		_, rejected := object[columnRow]
		if rejected {
			delete(object, columnRow)
			delete(object, columnErrors)
			if line, err = json.Marshal(object, json.Deterministic(true)); err != nil {
				return r, err
			}
		}
		r.raw, r.body = object, line
		return r, nil
	}
}

// line returns a line in memory of its own.
func (l *lineRows) line() ([]byte, error) {
	var line []byte
	for {
		part, err := l.file.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("row %d has more than %d bytes: it is no client", l.number+1, maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return line, err
		}
	}
}

func (l *lineRows) reject(w io.Writer, r row, reasons []string) error {
	object, ok := r.raw.(map[string]jsontext.Value)
	if !ok { // it is none
		line, _ := r.raw.([]byte)
		object = map[string]jsontext.Value{"import_line": mustJSON(strings.ToValidUTF8(string(line), "\uFFFD"))}
	}
	object = maps.Clone(object)
	object[columnRow], object[columnErrors] = mustJSON(r.number), mustJSON(reasons)
	line, err := json.Marshal(object, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// mustJSON is JSON of something that always has it.
func mustJSON(v any) jsontext.Value {
	value, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return value
}
