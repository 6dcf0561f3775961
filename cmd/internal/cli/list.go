package cli

import (
	"fmt"
	"iter"
	"strings"
	"text/tabwriter"
)

// tableRows is how many rows of a table are aligned and kept in memory.
const tableRows = 256

// list describes how a command prints items.
type list[T any] struct {
	unit    string // of one item, in the singular
	header  []string
	columns func(T) []string // printable text
	json    func(T) error    // prints the item on one line
}

// write writes the items to standard output, as a table or as JSON, and their number to standard error.
func (l list[T]) write(e env, items iter.Seq2[T, error], asJSON bool) error {
	table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	n := 0
	for item, err := range items {
		switch {
		case err != nil:
		case asJSON:
			err = l.json(item)
		default:
			err = l.row(table, n, item)
		}
		if err != nil {
			return err
		}
		n++
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.stderr, countOf(n, l.unit))
	return err
}

func (l list[T]) row(table *tabwriter.Writer, n int, item T) error {
	if n%tableRows == 0 {
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if n == 0 {
		fmt.Fprintln(table, strings.Join(l.header, "\t"))
	}
	_, err := fmt.Fprintln(table, strings.Join(l.columns(item), "\t"))
	return err
}
