package importer_test

import (
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/importer"
)

// FuzzImport checks for any file that each row has a key or a reason, and that the rejects file has all rejected rows with their
// numbers.
func FuzzImport(f *testing.F) {
	f.Add("firstName,lastName,communicationPreferences.email,address.line_1\nJane,Smith,yes,\"1\nHigh Street\"\nJane,,maybe\n", true)
	f.Add("firstName;lastName\n\xff,b\n", true)
	f.Add("import_row,import_errors,firstName\n2,invalid,Jane\n", true)
	f.Add("firstName,lastName\n\n\"a\n\nb\"\na,b,c,d\n\nJane,Smith\nJane,Smith\n", true)
	f.Add(`{"firstName": "Jane"}`+"\n\nnonsense\nnull\n"+`{"import_row": 3, "firstName": "Jane"}`, false)
	f.Fuzz(func(t *testing.T, file string, isCSV bool) {
		numbers, rejects, err := importer.RejectAll(file, isCSV)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := importer.RejectAll(rejects, isCSV)
		if err != nil {
			t.Fatal(err)
		}
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

// FuzzFormulas checks for any cell that a spreadsheet does not run it in a rejects file, and that it is imported unchanged.
func FuzzFormulas(f *testing.F) {
	for _, cell := range []string{
		"", "Jane", "O'Brien", "'", "''", "+442079460958", "'+442079460958", "''=1", "=HYPERLINK(\"http://x\")", "-1", "@SUM(1)", "\t=1", "\r=1", "'Jane",
	} {
		f.Add(cell)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		defused := importer.Defuse([]string{cell})
		if strings.IndexAny(defused[0], "=+-@\t\r") == 0 {
			t.Errorf("%q is a formula", defused[0])
		}
		if restored := importer.Restore(defused); !slices.Equal(restored, []string{cell}) {
			t.Errorf("%q is imported as %q", cell, restored[0])
		}
	})
}
