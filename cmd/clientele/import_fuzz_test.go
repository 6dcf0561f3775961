package main

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzImport: whatever the file, each of its rows has a body or a reason, and the file of rejects has the rows that were rejected.
func FuzzImport(f *testing.F) {
	f.Add("firstName,lastName,communicationPreferences.email,address.line_1\nJane,Smith,yes,\"1\nHigh Street\"\nJane,,maybe\n", true)
	f.Add("firstName;lastName\n\xff,b\n", true)
	f.Add("import_row,import_errors,firstName\n2,invalid,Jane\n", true)
	f.Add(`{"firstName": "Jane"}`+"\n\nnonsense\n"+`{"import_row": 3, "firstName": "Jane"}`, false)
	f.Fuzz(func(t *testing.T, file string, isCSV bool) {
		rows, rejects := rejectAll(t, file, isCSV)
		again, _ := rejectAll(t, rejects, isCSV)
		if again != rows {
			t.Errorf("%d rows rejected, %d in the file of rejects: %q", rows, again, rejects)
		}
	})
}

// rejectAll reads a file up to its end or what cannot be read, and returns how many rows it has, and the file of rejects if all
// of them are rejected.
func rejectAll(t *testing.T, file string, isCSV bool) (rows int, rejects string) {
	t.Helper()
	var source interface {
		next() (row, error)
		reject(w io.Writer, r row, reasons []string) error
	} = &lineRows{file: bufio.NewReader(strings.NewReader(file))}
	if isCSV {
		csv, err := newCSVRows(strings.NewReader(file), ',', nil)
		if err != nil {
			return 0, ""
		}
		source = csv
	}
	var out bytes.Buffer
	for {
		r, err := source.next()
		if err != nil {
			return rows, out.String()
		}
		if r.err == "" && len(r.body) == 0 {
			t.Errorf("row %d has neither a body nor a reason", r.number)
		}
		if err := source.reject(&out, r, []string{"a reason, with a \"quote\"", "another"}); err != nil {
			t.Fatal(err)
		}
		rows++
	}
}
