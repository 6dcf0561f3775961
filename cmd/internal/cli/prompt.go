package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// What comes from whoever published a message, and may be anything, made fit to be printed on a terminal.

// display returns a text as it is if it is printable, else quoted in ASCII. parseDisplayed undoes it.
func display(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, `"`) && !strings.ContainsFunc(s, unprintable) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// parseDisplayed returns the text that display showed.
func parseDisplayed(s string) string {
	if unquoted, err := strconv.Unquote(s); err == nil && strings.HasPrefix(s, `"`) {
		return unquoted
	}
	return s
}

// unprintable says whether a terminal may take a character for more than a character: control characters, and those that
// change direction or are not seen.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// displayText is display for text of many lines: those stay, and only what is not printable is escaped.
func displayText(s string) string {
	if !utf8.ValidString(s) {
		return strconv.QuoteToASCII(s)
	}
	return escape(s, func(r rune) bool { return r != '\n' && r != '\t' && unprintable(r) })
}

// displayJSON escapes what is not printable in JSON, in which such characters occur inside strings only.
func displayJSON(b []byte) string { return escape(string(b), unprintable) }

// escape replaces characters by their \u escapes, as in Go and in JSON.
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

// isTerminal reports whether a person sees what is written to w, or types what is read from it.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// confirmFlags are those of a command that asks before it acts.
type confirmFlags struct {
	Yes bool `short:"y" help:"Do not ask."`
}

// checkTerminal returns an error if the command must ask and nobody can answer. Call it first: an answer in a pipe is an answer to
// a question that its author has not read.
func (f confirmFlags) checkTerminal(e env) error {
	if !f.Yes && !isTerminal(e.stdin) {
		return &usageError{"standard input is not a terminal on which to ask: pass --yes"}
	}
	return nil
}

// confirmed asks the question unless --yes was given, and reports whether to go on. If not, it tells the reader that nothing
// was done: dropped, for example.
func (f confirmFlags) confirmed(e env, question, done string) (bool, error) {
	if f.Yes {
		return true, nil
	}
	yes, err := confirm(e.ctx, e.stdin, e.stderr, question)
	switch {
	case e.ctx.Err() != nil:
		return false, fmt.Errorf("interrupted: nothing was %s", done)
	case err == nil && !yes:
		fmt.Fprintf(e.stdout, "nothing was %s\n", done)
	}
	return yes, err
}

// confirm asks a question and says whether the answer was yes. Anything else is no; no answer at all, or the end of the
// context, is an error.
func confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question+" [y/N] ")
	type reply struct {
		line string
		err  error
	}
	replies := make(chan reply, 1) // nothing can stop the reading: it ends with the process
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		replies <- reply{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, ctx.Err()
	case r := <-replies:
		if r.err != nil && r.line == "" {
			fmt.Fprintln(out)
			return false, errors.New("no answer on standard input: give one, or --yes")
		}
		answer := strings.ToLower(strings.TrimSpace(r.line))
		return answer == "y" || answer == "yes", nil
	}
}
