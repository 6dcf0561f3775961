package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/term"
)

// display returns printable text unchanged and quotes any other text in ASCII. parseDisplayed is its inverse.
func display(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, `"`) && !strings.ContainsFunc(s, unprintable) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// parseDisplayed returns the text that display was given.
func parseDisplayed(s string) string {
	if unquoted, err := strconv.Unquote(s); err == nil && strings.HasPrefix(s, `"`) {
		return unquoted
	}
	return s
}

// unprintable reports whether a terminal might interpret a character instead of showing it: control characters, and invisible ones
// such as those that change the direction of text.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// displayText escapes the unprintable characters of text with several lines.
func displayText(s string) string {
	if !utf8.ValidString(s) {
		return strconv.QuoteToASCII(s)
	}
	return escape(s, func(r rune) bool { return r != '\n' && r != '\t' && unprintable(r) })
}

// displayJSON escapes the unprintable characters of JSON, which occur inside strings only.
func displayJSON(b []byte) string { return escape(string(b), unprintable) }

// escape replaces characters with \u escapes, as in Go and JSON.
func escape(s string, escaped func(rune) bool) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case !escaped(r):
			b.WriteRune(r)
		case r > 0xffff: // a pair of surrogates
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// printJSON prints a value on one line.
func printJSON(e env, value any) error {
	b, err := json.Marshal(value, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, displayJSON(b))
	return err
}

// countOf returns a number with its noun, in the singular or plural.
func countOf(n int, thing string) string {
	switch n {
	case 0:
		return "no " + thing + "s"
	case 1:
		return "1 " + thing
	default:
		return fmt.Sprintf("%d %ss", n, thing)
	}
}
