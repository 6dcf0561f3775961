package cli

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"clientele/domain"
	"clientele/publisher/endpoint"

	"github.com/nats-io/nats.go"
)

type webhooksTestCmd struct {
	webhookArg   `embed:""`
	webhookFlags `embed:""`
}

// Help is printed by --help.
func (*webhooksTestCmd) Help() string {
	return `Examples:

  clientele webhooks test crm

A process that delivers posts one signed event of the type client.test, even if the webhook is paused or disabled. It has no subject, and
its body is {"test":true}.`
}

// Validate is called by the parser.
func (c *webhooksTestCmd) Validate() error { return c.validate() }

// Run delivers a test event.
func (c *webhooksTestCmd) Run(e env) error {
	o, err := c.openOne(e, c.Name)
	if err != nil {
		return err
	}
	defer o.close()
	id, err := domain.NewID()
	if err != nil {
		return err
	}
	header := nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {id.String()}, "ce-source": {"/clientele"}, "ce-type": {endpoint.TypeTest},
		domain.HeaderEventTime: {time.Now().UTC().Format(time.RFC3339Nano)}, "Content-Type": {"application/json"},
	}
	var d endpoint.Delivery
	err = c.act(e.ctx, o.js.Conn(), domain.AuditRecord{Action: endpoint.AuditTest, Target: c.Name}, func() error {
		d, err = endpoint.Deliver(e.ctx, o.js.Conn(), c.Name, 0, header, []byte(`{"test":true}`))
		if err == nil && d.Result != endpoint.Delivered {
			err = errors.New(display(d.Error) + fmt.Sprintf(" (after %.1f ms)", d.Millis))
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%d %s after %.1f ms\n", d.Status, http.StatusText(d.Status), d.Millis)
	return err
}
