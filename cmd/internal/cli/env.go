package cli

import (
	"context"
	"io"
)

// The exit statuses.
const (
	ExitOK    = 0
	ExitError = 1
	ExitUsage = 2
)

// env is the environment of a command.
type env struct {
	ctx            context.Context //nolint:containedctx // kong hands one value to every command
	fail           func(error)     // ends ctx, and the command with this error
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is an error in a command line that the parser accepts.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }
