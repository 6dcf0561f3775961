package cli

import (
	"context"
	"errors"
	"io"
)

// The exit statuses.
const (
	ExitOK    = 0
	ExitError = 1
	ExitUsage = 2
	// ExitUnhealthy is that of status and doctor if they could look and found a failure.
	ExitUnhealthy = 3
)

// env is the environment of a command.
type env struct {
	ctx            context.Context //nolint:containedctx // kong hands one value to every command
	fail           func(error)     // ends ctx, and the command with this error
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// errUnhealthy ends a command that has printed a failure of the installation. It is not printed.
var errUnhealthy = errors.New("a check failed")

// usageError is an error in a command line that the parser accepts.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }
