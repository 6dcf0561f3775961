package cli

import (
	"clientele/domain"
	"clientele/publisher"

	"github.com/nats-io/nats.go"
)

// open returns the rejections of the servers that the flags name, and the connection, for the caller to close.
func (f operatorFlags) open(e env) (*publisher.Rejections, *nats.Conn, error) {
	nc, err := f.dial(e, "operator")
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

// rejectionID returns the id that an operator typed as the stream has it: a UUID in lower case, anything else unquoted.
func rejectionID(typed string) string {
	if id, err := domain.ParseID(typed); err == nil {
		return id.String()
	}
	return parseDisplayed(typed)
}
