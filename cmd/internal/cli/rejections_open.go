package cli

import (
	"clientele/domain"
	"clientele/publisher"

	"github.com/nats-io/nats.go"
)

// open connects to NATS and returns the rejections. The caller closes the connection.
func (f operatorFlags) open(e env) (*publisher.Rejections, *nats.Conn, error) {
	nc, err := f.dial(e)
	if err != nil {
		return nil, nil, err
	}
	rejections, err := publisher.OpenRejections(e.ctx, nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return rejections, nc, nil
}

// rejectionID returns the id on the stream for one that an operator has typed: a UUID in lower case, any other text unquoted.
func rejectionID(typed string) string {
	if id, err := domain.ParseID(typed); err == nil {
		return id.String()
	}
	return parseDisplayed(typed)
}
