package console

import (
	"context"
	"errors"
	"net/http"

	"clientele/cmd/internal/console/job"
	"clientele/cmd/internal/console/receiver"
	"clientele/publisher/endpoint"
	"clientele/publisher/endpoint/control"
)

// webhookPage is the content of the page about a webhook.
type webhookPage struct {
	page

	Receiver   *receiver.Receiver
	FailedOnly bool
	Jobs       []*job.Job
	Notice     *receiver.Notice // what came of an action, or nil
}

// webhook is GET /webhooks/{name}.
func (c *Console) webhook(w http.ResponseWriter, r *http.Request, v visitor) {
	c.showWebhook(w, r, v, func(context.Context, control.Webhook) (*receiver.Notice, error) { return nil, nil }) //nolint:nilnil // nothing was done
}

// showWebhook does something with the webhook of a request, and writes its page with the notice about that.
func (c *Console) showWebhook(w http.ResponseWriter, r *http.Request, v visitor, do func(context.Context, control.Webhook) (*receiver.Notice, error)) {
	ctx, cancel, err := withTime(w, r, scanTimeout)
	if err != nil {
		c.unavailable(w, v, err)
		return
	}
	defer cancel()
	content := webhookPage{page: c.page(v, "Webhook "+r.PathValue("name"), "webhooks"), FailedOnly: r.URL.Query().Get("failed") == "true"}
	opened, err := control.Open(ctx, c.js, r.PathValue("name"))
	if err == nil {
		content.Notice, err = do(ctx, opened)
	}
	if err == nil {
		content.Receiver, err = receiver.Look(ctx, opened, content.FailedOnly)
	}
	if err != nil {
		c.webhookFailed(w, v, err)
		return
	}
	content.Jobs = c.jobs.Of(pathOf(opened))
	c.render(w, http.StatusOK, "webhook.html", content)
}

func pathOf(w control.Webhook) string { return "/webhooks/" + w.Name }

// webhookFailed writes a page with the error of an action on a webhook.
func (c *Console) webhookFailed(w http.ResponseWriter, v visitor, err error) {
	status := http.StatusServiceUnavailable
	if _, missing := errors.AsType[*endpoint.MissingError](err); missing {
		status = http.StatusNotFound
	} else if _, conflict := errors.AsType[*endpoint.ConflictError](err); conflict {
		status = http.StatusConflict
	}
	c.fail(w, v, status, c.reason(err))
}

// changeWebhook handles a request for a change, and leads to the page of the webhook.
func (c *Console) changeWebhook(change func(control.Webhook, context.Context, control.Trail) error) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, v visitor) {
		opened, err := control.Open(r.Context(), c.js, r.PathValue("name"))
		if err == nil {
			err = change(opened, r.Context(), asVisitor{c.cfg.Audit, v})
		}
		if err != nil {
			c.webhookFailed(w, v, err)
			return
		}
		http.Redirect(w, r, pathOf(opened), http.StatusSeeOther)
	}
}

// testWebhook is POST /webhooks/{name}/test. The page shows the response.
func (c *Console) testWebhook(w http.ResponseWriter, r *http.Request, v visitor) {
	c.showWebhook(w, r, v, func(ctx context.Context, opened control.Webhook) (*receiver.Notice, error) {
		return receiver.Test(ctx, opened, asVisitor{c.cfg.Audit, v})
	})
}
