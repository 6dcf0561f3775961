package importer

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// FuzzImport: whatever the file, each of its rows has a key or a reason, and the file of rejects has the rows that were rejected,
// with their numbers.
func FuzzImport(f *testing.F) {
	f.Add("firstName,lastName,communicationPreferences.email,address.line_1\nJane,Smith,yes,\"1\nHigh Street\"\nJane,,maybe\n", true)
	f.Add("firstName;lastName\n\xff,b\n", true)
	f.Add("import_row,import_errors,firstName\n2,invalid,Jane\n", true)
	f.Add("firstName,lastName\n\n\"a\n\nb\"\na,b,c,d\n\nJane,Smith\nJane,Smith\n", true)
	f.Add(`{"firstName": "Jane"}`+"\n\nnonsense\nnull\n"+`{"import_row": 3, "firstName": "Jane"}`, false)
	f.Fuzz(func(t *testing.T, file string, isCSV bool) {
		numbers, rejects := rejectAll(t, file, isCSV)
		again, _ := rejectAll(t, rejects, isCSV)
		if len(again) != len(numbers) {
			t.Fatalf("%d rows rejected, %d in the file of rejects: %q", len(numbers), len(again), rejects)
		}
		for i, number := range numbers {
			if again[i] != number {
				t.Errorf("row %d is row %d in the file of rejects: %q", number, again[i], rejects)
			}
		}
	})
}

// rejectAll reads a file up to its end or what cannot be read, and returns the numbers of its rows, and the file of rejects if
// all of them are rejected.
func rejectAll(t *testing.T, file string, isCSV bool) (numbers []int, rejects string) {
	t.Helper()
	var source rows = &lineRows{file: bufio.NewReader(strings.NewReader(file))}
	if isCSV {
		csv, err := newCSVRows(strings.NewReader(file), ',', nil, "")
		if err != nil {
			return nil, ""
		}
		source = csv
	}
	var out bytes.Buffer
	if err := source.head(&out); err != nil {
		t.Fatal(err)
	}
	keyed := &keyedRows{rows: source}
	for {
		r, err := keyed.next()
		if err != nil {
			return numbers, out.String()
		}
		if (r.err == "") != (r.key != "") {
			t.Errorf("row %d has the key %q and the reason %q", r.number, r.key, r.err)
		}
		if err := source.reject(&out, r, []string{"a reason, with a \"quote\"", "another"}); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, r.number)
	}
}
