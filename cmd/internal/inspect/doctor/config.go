// Package doctor checks how an installation of Clientele is set up, with the rights of an operator.
package doctor

import (
	"crypto/tls"

	"clientele/cmd/internal/inspect"

	"github.com/nats-io/nats.go"
)

// Config says what Run checks. What is not given is not checked.
type Config struct {
	inspect.Config

	// NATSError says why Conn is nil.
	NATSError error
	// ServeDir is the data directory of the serve that has the NATS, or "" for separate servers. Memory is how much memory it can use, in
	// bytes; 0 if that is not known.
	ServeDir string
	Memory   int64
	// Stopped reports that no serve runs in ServeDir, which is why the NATS and perhaps the database cannot be looked at.
	Stopped bool
	// Monitors are the URLs of the monitoring ports of NATS servers. System is a connection of a user of their system account, or nil;
	// SystemError says why it could not be opened.
	Monitors    []string
	System      *nats.Conn
	SystemError error
	// KeysFile is the file with API keys.
	KeysFile string
	// Certificates are PEM files with certificates, by the flag that names them.
	Certificates map[string]string
	// API is the API to which a synthetic client is posted.
	API *API
}

// API says how to reach the API.
type API struct {
	URL       string
	Token     string // "" for none
	TLS       *tls.Config
	UserAgent string
}
