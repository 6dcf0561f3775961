package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lineRows are the rows of a file with one JSON object on each line.
type lineRows struct {
	file      *bufio.Reader
	keyColumn string
	order     int
	number    int
	rejects   bool // true if a row has the members that reject adds
}

// maxLine is the maximum size of a line in bytes. It exceeds the API's limit for a request.
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
		l.order++
		r := row{order: l.order, number: l.number, raw: line}
		var object map[string]jsontext.Value
		if err := json.Unmarshal(line, &object); err != nil || object == nil {
			r.err = "the line is not a JSON object"
			return r, nil //nolint:nilerr // the row is rejected
		}
		return l.row(r, object)
	}
}

func (l *lineRows) row(r row, object map[string]jsontext.Value) (row, error) {
	number, isNumbered := object[columnRow]
	_, hasReasons := object[columnErrors]
	l.rejects = l.rejects || isNumbered && hasReasons
	r.number = originalNumber(string(number), r.number)
	client := maps.Clone(object)
	delete(client, columnRow)
	delete(client, columnErrors)
	r.raw = maps.Clone(client)
	if l.keyColumn != "" {
		id, err := keyText(client[l.keyColumn])
		if err != nil {
			r.err = l.keyColumn + " " + err.Error()
			return r, nil //nolint:nilerr // the row is rejected
		}
		r.id = id
		delete(client, l.keyColumn)
	}
	var err error
	r.body, err = json.Marshal(client, json.Deterministic(true))
	return r, err
}

// keyText returns the text of a key: 4711 and "4711" are the same.
func keyText(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case 0, 'n': // no such member, or null
		return "", nil
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		return string(text), err
	case '0':
		return string(value), nil
	default:
		return "", errors.New("must be a string or a number")
	}
}

// line returns a copy of the next line.
func (l *lineRows) line() ([]byte, error) {
	var line []byte
	for {
		part, err := l.file.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("row %d is longer than %d bytes, more than a client can have", l.number+1, maxLine)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return line, err
		}
	}
}

func (l *lineRows) areRejects() bool { return l.rejects }

func (*lineRows) head(io.Writer) error { return nil }

func (l *lineRows) reject(w io.Writer, r row, reasons []string) error {
	object, ok := r.raw.(map[string]jsontext.Value)
	if ok {
		object = maps.Clone(object)
	} else { // the line is not an object
		line, _ := r.raw.([]byte)
		object = map[string]jsontext.Value{"import_line": mustJSON(strings.ToValidUTF8(string(line), "\uFFFD"))}
	}
	object[columnRow], object[columnErrors] = mustJSON(r.number), mustJSON(reasons)
	line, err := json.Marshal(object, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// mustJSON returns the JSON of a value that always has JSON.
func mustJSON(v any) jsontext.Value {
	value, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return value
}
