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

// env is what a command has of the world around it.
type env struct {
	ctx            context.Context //nolint:containedctx // kong hands one value to every command
	fail           func(error)     // ends ctx, and the command with this error
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is a command line that the parser takes and that is wrong all the same.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }
