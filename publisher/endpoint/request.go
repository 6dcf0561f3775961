package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// SubjectDeliver is followed by the name of an endpoint. A message is a request to deliver it once, now, and the response is the Delivery.
// No stream stores it.
const SubjectDeliver = "client.deliver."

// HeaderEvent is the sequence of the event in such a request.
const HeaderEvent = "Clientele-Event"

// TypeTest is the type of a test event. It has no subject, and no stream has it.
const TypeTest = "client.test"

// deliverTimeout is how long a delivery that an operator asks for may take, including that of the forwarder.
const deliverTimeout = 40 * time.Second

// ErrNoForwarder means that no process delivers to webhooks.
var ErrNoForwarder = errors.New("no process delivers to webhooks")

// Deliver has a process that delivers to webhooks deliver an event to one endpoint, once and now, even if the endpoint is paused or
// disabled. It returns what came of it, or ErrNoForwarder. The sequence is that of the event on its stream, 0 for none.
func Deliver(ctx context.Context, nc *nats.Conn, name string, sequence uint64, header nats.Header, body []byte) (d Delivery, err error) {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: SubjectDeliver + name, Data: body, Header: nats.Header{HeaderEvent: {strconv.FormatUint(sequence, 10)}}}
	for key, values := range header {
		if !strings.HasPrefix(key, "Nats-") {
			msg.Header[key] = values
		}
	}
	response, err := nc.RequestMsgWithContext(ctx, msg)
	if errors.Is(err, nats.ErrNoResponders) {
		return d, ErrNoForwarder
	}
	if err == nil {
		err = json.Unmarshal(response.Data, &d)
	}
	if err != nil {
		return d, fmt.Errorf("deliver to webhook %s: %w", name, err)
	}
	return d, nil
}
