package refusal

import (
	"fmt"

	"github.com/nats-io/nats.go"
)

// OldServerError reports that the NATS server is older than 2.15, the version with which every promise is tested.
type OldServerError struct{ Version string }

func (e *OldServerError) Error() string {
	return "the NATS server has version " + e.Version + ", which is older than 2.15"
}

// Connect connects to NATS. The error is an *OldServerError if the server is too old. Of a cluster, only the connected server is seen.
func Connect(servers string, options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(servers, options...)
	if err != nil {
		return nil, err
	}
	if version := nc.ConnectedServerVersion(); TooOld(version) {
		nc.Close()
		return nil, &OldServerError{version}
	}
	return nc, nil
}

// TooOld reports whether the version of a NATS server is older than 2.15. It returns false for a text that is no version.
func TooOld(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d.", &major, &minor)
	return err == nil && (major < 2 || major == 2 && minor < 15)
}
