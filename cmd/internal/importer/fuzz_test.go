package importer_test

import (
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
