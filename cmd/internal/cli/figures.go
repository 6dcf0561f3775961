package cli

import (
	"fmt"
	"strings"

	"clientele/cmd/internal/inspect"
)

// How status and doctor show findings to a person.

// paint colours a word on a terminal.
type paint func(text string, health inspect.Health) string

// paintFor returns the colours for standard output: none elsewhere than on a terminal, and none with NO_COLOR.
func paintFor(e env) paint {
	if !isTerminal(e.stdout) || e.getenv("NO_COLOR") != "" {
		return func(text string, _ inspect.Health) string { return text }
	}
	codes := map[inspect.Health]string{inspect.OK: "32", inspect.Warn: "33", inspect.Fail: "1;31"}
	return func(text string, health inspect.Health) string {
		return "\x1b[" + codes[health] + "m" + text + "\x1b[0m"
	}
}

// textWidth is the width of findings, in characters.
const textWidth = 80

// findingsText returns findings in columns: the result, the name, and what was found, what to do, and where it is described.
func findingsText(all []inspect.Finding, paint paint) string {
	names := 0
	for _, f := range all {
		names = max(names, len(display(f.Name)))
	}
	var b strings.Builder
	indent := len("fail") + 2 + names + 2
	for _, f := range all {
		fmt.Fprintf(&b, "%s%*s%-*s  ", paint(string(f.Result), f.Result), len("fail")+2-len(f.Result), "", names, display(f.Name))
		var lines []string
		for _, part := range []struct{ mark, text string }{{"", f.Found}, {"→ ", f.Do}, {"  ", f.See}} {
			for i, line := range wrap(display(part.text), textWidth-indent-len([]rune(part.mark))) {
				if i > 0 {
					part.mark = strings.Repeat(" ", len([]rune(part.mark)))
				}
				lines = append(lines, part.mark+line)
			}
		}
		b.WriteString(strings.Join(lines, "\n"+strings.Repeat(" ", indent)) + "\n")
	}
	return b.String()
}

// wrap breaks text between words into lines of a width. A longer word has a line of its own.
func wrap(text string, width int) (lines []string) {
	if text == "" {
		return nil
	}
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// writeTable writes rows in columns, each aligned as its letter says: l for left, r for right.
func writeTable(b *strings.Builder, alignment string, rows [][]string) {
	widths := make([]int, len(alignment))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if alignment[i] == 'r' {
				line.WriteString(padding + cell + "  ")
			} else {
				line.WriteString(cell + padding + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
