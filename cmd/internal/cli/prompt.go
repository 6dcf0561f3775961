package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

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
