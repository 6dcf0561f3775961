package importer

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// The cells of a rejects file.
var (
	Defuse  = defuse
	Restore = restore
)

// RejectAll reads a file up to its end or a read error and rejects every row. It returns the numbers of the rows and the rejects
// file. A row with neither a key nor a reason is an error.
func RejectAll(file string, isCSV bool) (numbers []int, rejects string, err error) {
	var source rows = &lineRows{file: bufio.NewReader(strings.NewReader(file))}
	if isCSV {
		csv, err := newCSVRows(strings.NewReader(file), ',', nil, "")
		if err != nil {
			return nil, "", nil //nolint:nilerr // the file has no rows
		}
		source = csv
	}
	var out bytes.Buffer
	if err := source.head(&out); err != nil {
		return nil, "", err
	}
	keyed := &keyedRows{rows: source}
	for {
		r, err := keyed.next()
		if err != nil {
			return numbers, out.String(), nil //nolint:nilerr // the rest cannot be read
		}
		if (r.err == "") != (r.key != "") {
			return nil, "", fmt.Errorf("row %d has the key %q and the reason %q", r.number, r.key, r.err)
		}
		if err := source.reject(&out, r, []string{"a reason, with a \"quote\"", "another"}); err != nil {
			return nil, "", err
		}
		numbers = append(numbers, r.number)
	}
}
