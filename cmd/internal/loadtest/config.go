package loadtest

import (
	"crypto/tls"
	"io"
	"time"

	"github.com/nats-io/nats.go"
)

// Config describes a load test.
type Config struct {
	// URL is the base URL of the API, and Token the bearer token to send, or "".
	URL, Token string
	// UserAgent is the User-Agent header of the requests.
	UserAgent string
	// TLS is the configuration for an https URL. If it is nil, the system's certificate authorities are trusted.
	TLS *tls.Config
	// Connections is the number of connections, each with one request in flight.
	Connections int
	// Batch is the number of clients in each request. If it is 0, requests are for single clients.
	Batch int
	// Rate is the number of clients per second; 0 means as fast as possible.
	Rate float64
	// Count is the number of clients to send. If it is 0, Run sends requests for Duration.
	Duration time.Duration
	Count    int
	// Keys is true to send an Idempotency-Key with each client.
	Keys bool
	// Repeat is the percentage of clients that repeat an earlier one, with its key, below 100.
	Repeat int
	// Conn is the connection on which Run follows client.created.
	Conn *nats.Conn
	// Progress receives a line every 5 s, or on a terminal every second.
	Progress io.Writer
	Terminal bool
}
