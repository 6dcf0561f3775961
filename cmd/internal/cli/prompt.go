package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// confirmFlags are the flags of a command that asks before it acts.
type confirmFlags struct {
	Yes bool `short:"y" help:"Do not ask for confirmation."`
}

// checkTerminal returns an error if the command must ask and standard input is not a terminal. Text in a pipe is no confirmation:
// its author has not read the question.
func (f confirmFlags) checkTerminal(e env) error {
	if !f.Yes && !isTerminal(e.stdin) {
		return &usageError{"cannot ask for confirmation, because standard input is not a terminal: pass --yes"}
	}
	return nil
}

// confirmed asks the question unless --yes is set, and reports whether the answer is yes. Otherwise it prints that nothing was done:
// dropped, for example.
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

// confirm asks a question and reports whether the answer is yes. Any other text means no. The end of input or of the context is an
// error.
func confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question+" [y/N] ")
	type reply struct {
		line string
		err  error
	}
	replies := make(chan reply, 1) // a read cannot be cancelled: the goroutine ends with the process
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
			return false, errors.New("no answer on standard input: type y or n, or pass --yes")
		}
		answer := strings.ToLower(strings.TrimSpace(r.line))
		return answer == "y" || answer == "yes", nil
	}
}
