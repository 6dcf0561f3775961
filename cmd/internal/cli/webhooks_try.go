package cli

import (
	"errors"
	"fmt"
	"net/http"

	"clientele/publisher/audit"
	"clientele/publisher/endpoint"
	"clientele/publisher/endpoint/control"
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
	var d endpoint.Delivery
	err := c.recorded(e, c.Name, func(o opened, trail *audit.Recorder) (err error) {
		d, err = o.Test(e.ctx, trail)
		return err
	})
	if failed, ok := errors.AsType[*control.FailedError](err); ok {
		return fmt.Errorf("%s (after %.1f ms)", display(failed.Error()), failed.Delivery.Millis)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%d %s after %.1f ms\n", d.Status, http.StatusText(d.Status), d.Millis)
	return err
}
