package app

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Option names an option in an error.
type Option string

// The options that errors name.
const (
	AdminListen           Option = "AdminListen"
	AllowedHosts          Option = "AllowedHosts"
	BatchSize             Option = "BatchSize"
	Concurrency           Option = "Concurrency"
	ConnectionsPerAddress Option = "ConnectionsPerAddress"
	DataDir               Option = "DataDir"
	DatabaseURL           Option = "DatabaseURL"
	ForwardURL            Option = "ForwardURL"
	History               Option = "History"
	InFlight              Option = "InFlight"
	KeysFile              Option = "KeysFile"
	KeysGrace             Option = "KeysGrace"
	Listen                Option = "Listen"
	MaxConnections        Option = "MaxConnections"
	MaxRequests           Option = "MaxRequests"
	MaxWaiting            Option = "MaxWaiting"
	NATSCA                Option = "NATSCA"
	NATSCert              Option = "NATSCert"
	NATSConfig            Option = "NATSConfig"
	NATSCreds             Option = "NATSCreds"
	NATSEncryptionKeyFile Option = "NATSEncryptionKeyFile"
	NATSKey               Option = "NATSKey"
	NATSListen            Option = "NATSListen"
	NATSURL               Option = "NATSURL"
	NoAuth                Option = "NoAuth"
	OIDCAudience          Option = "OIDCAudience"
	OIDCIssuer            Option = "OIDCIssuer"
	RateLimit             Option = "RateLimit"
	StopTimeout           Option = "StopTimeout"
	TLSCert               Option = "TLSCert"
	TLSKey                Option = "TLSKey"
)

// OptionError is an error about one option, or about several that belong together.
type OptionError struct {
	Options []Option
	Err     error
}

func (e *OptionError) Error() string {
	names := make([]string, len(e.Options))
	for i, o := range e.Options {
		names[i] = string(o)
	}
	return strings.Join(names, " and ") + ": " + e.Err.Error()
}

func (e *OptionError) Unwrap() error { return e.Err }

// optionError returns an *OptionError, or nil if err is nil.
func optionError(err error, options ...Option) error {
	if err == nil {
		return nil
	}
	return &OptionError{options, err}
}

func invalid(text string, options ...Option) error {
	return optionError(errors.New(text), options...)
}

// listenError returns the error about an address that cannot be listened on.
func listenError(err error, option Option, address string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return invalid(address+" is in use by another program: stop it, or choose another address", option)
	}
	return optionError(fmt.Errorf("cannot listen on %q, choose another HOST:PORT: %w", address, err), option)
}

var errPair = errors.New("set both or neither")

// isAddress reports whether the text is HOST:PORT.
func isAddress(text string) bool {
	_, _, err := net.SplitHostPort(text)
	return err == nil
}
