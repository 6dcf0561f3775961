package loadtest

import (
	"crypto/tls"
	"io"
	"time"

	"github.com/nats-io/nats.go"
)

// Config describes a load test.
type Config struct {
	// URL is that of the API, and Token the credential to send.
	URL, Token string
	// UserAgent is the name and version that the API sees.
	UserAgent string
	// TLS is for a URL with https. If it is nil, the authorities of the system are trusted.
	TLS *tls.Config
	// Connections is the number of connections, each with one request in flight.
	Connections int
	// Rate is the number of requests per second, sent when due; 0 means as fast as possible.
	Rate float64
	// Duration is how long Run sends, unless Count is the number of requests to send.
	Duration time.Duration
	Count    int
	// Keys sends an Idempotency-Key with each request.
	Keys bool
	// Conn is the connection on which Run follows client.created.
	Conn *nats.Conn
	// Progress receives a line every 5 s, or on a terminal every second.
	Progress io.Writer
	Terminal bool
}
