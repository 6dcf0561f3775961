package cli

import (
	"github.com/alecthomas/kong"
)

// helpCmd is --help as a command.
type helpCmd struct {
	Command []string `arg:"" optional:"" predictor:"command" help:"The command, such as events tail. Without it, lists every command."`
}

// Run prints the help of the command, and ends as --help does.
func (c *helpCmd) Run(ctx *kong.Context) error {
	_, err := ctx.Kong.Parse(append(c.Command, "--help")) // panics with helped if there is such a command
	return &usageError{err.Error() + "; see clientele --help"}
}

// isGroup reports whether the arguments name nothing but a group of commands, such as events or the program itself. The
// next word is missing, so the list is shown.
func isGroup(node *kong.Node, args []string) bool {
	for _, arg := range args {
		if node = child(node, arg); node == nil {
			return false
		}
	}
	return len(node.Children) > 0
}

func child(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}
