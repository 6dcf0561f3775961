// Package forward delivers events to the endpoints of webhooks. Any number of processes share the work: each endpoint has a durable
// consumer on the stream of events, and its settings and health are in the bucket of package endpoint.
package forward

import (
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Config configures Open.
type Config struct {
	Conn *nats.Conn
	// UserAgent is the name and version that receivers see.
	UserAgent string
	// Explain rewrites errors for an operator.
	Explain func(error) error
	Metrics prometheus.Registerer
	Log     zerolog.Logger
}
