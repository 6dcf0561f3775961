// Package option names the options of a process, and has the errors about them.
package option

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Name names an option in an error.
type Name string

// The options that errors name.
const (
	AdminListen           Name = "AdminListen"
	AllowedHosts          Name = "AllowedHosts"
	BatchSize             Name = "BatchSize"
	Concurrency           Name = "Concurrency"
	ConnectionsPerAddress Name = "ConnectionsPerAddress"
	ConsoleListen         Name = "ConsoleListen"
	DataDir               Name = "DataDir"
	DatabaseURL           Name = "DatabaseURL"
	History               Name = "History"
	KeysFile              Name = "KeysFile"
	KeysGrace             Name = "KeysGrace"
	Listen                Name = "Listen"
	MaxConnections        Name = "MaxConnections"
	MaxRequests           Name = "MaxRequests"
	MaxWaiting            Name = "MaxWaiting"
	NATSCA                Name = "NATSCA"
	NATSCert              Name = "NATSCert"
	NATSConfig            Name = "NATSConfig"
	NATSCreds             Name = "NATSCreds"
	NATSEncryptionKeyFile Name = "NATSEncryptionKeyFile"
	NATSKey               Name = "NATSKey"
	NATSListen            Name = "NATSListen"
	NATSURL               Name = "NATSURL"
	NoAuth                Name = "NoAuth"
	OIDCAudience          Name = "OIDCAudience"
	OIDCIssuer            Name = "OIDCIssuer"
	RateLimit             Name = "RateLimit"
	StopTimeout           Name = "StopTimeout"
	TLSCert               Name = "TLSCert"
	TLSKey                Name = "TLSKey"
)

// Error is an error about one option, or about several that belong together.
type Error struct {
	Options []Name
	Err     error
}

func (e *Error) Error() string {
	names := make([]string, len(e.Options))
	for i, o := range e.Options {
		names[i] = string(o)
	}
	return strings.Join(names, " and ") + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Wrap returns an *Error, or nil if err is nil.
func Wrap(err error, options ...Name) error {
	if err == nil {
		return nil
	}
	return &Error{options, err}
}

// Invalid returns an *Error with a text.
func Invalid(text string, options ...Name) error {
	return Wrap(errors.New(text), options...)
}

// InUseError means that another program listens on an address.
type InUseError struct{ Address string }

func (e *InUseError) Error() string {
	return e.Address + " is in use by another program: stop it, or choose another address"
}

// ListenError returns the error about an address that cannot be listened on. It wraps an *InUseError if another program does.
func ListenError(err error, option Name, address string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return Wrap(&InUseError{address}, option)
	}
	return Wrap(fmt.Errorf("cannot listen on %q, choose another HOST:PORT: %w", address, err), option)
}

// ErrPair is the error about two options that belong together.
var ErrPair = errors.New("set both or neither")

// IsAddress reports whether the text is HOST:PORT.
func IsAddress(text string) bool {
	_, _, err := net.SplitHostPort(text)
	return err == nil
}
