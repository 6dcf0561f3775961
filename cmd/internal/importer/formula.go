package importer

import "strings"

// Spreadsheets run a cell that begins with one of these characters as a formula (OWASP, CSV injection).
const formulaStarts = "=+-@\t\r"

// startsFormula reports whether a cell is a formula once it has lost its leading apostrophes.
func startsFormula(cell string) bool {
	cell = strings.TrimLeft(cell, "'")
	return cell != "" && strings.IndexByte(formulaStarts, cell[0]) >= 0
}

// defuse puts an apostrophe before each cell that a spreadsheet could run. Cells that have one already get another, so that restore
// is the exact inverse.
func defuse(cells []string) []string {
	defused := make([]string, len(cells))
	for i, cell := range cells {
		if startsFormula(cell) {
			cell = "'" + cell
		}
		defused[i] = cell
	}
	return defused
}

// restore removes the apostrophes of defuse. A cell that was corrected since, without an apostrophe, stays as it is.
func restore(cells []string) []string {
	restored := make([]string, len(cells))
	for i, cell := range cells {
		if startsFormula(cell) {
			cell = strings.TrimPrefix(cell, "'")
		}
		restored[i] = cell
	}
	return restored
}
