package console

import (
	"context"
	"net/http"
	"strconv"

	"clientele/cmd/internal/console/job"
	"clientele/cmd/internal/console/receiver"
	"clientele/publisher/endpoint/control"
)

// redeliver is POST /webhooks/{name}/redeliver. It delivers the event with the sequence in the form, and the page shows the response.
func (c *Console) redeliver(w http.ResponseWriter, r *http.Request, v visitor) {
	sequence, err := strconv.ParseUint(r.PostFormValue("event"), 10, 64)
	if err != nil || sequence == 0 {
		c.fail(w, v, http.StatusBadRequest, "The form has no sequence of an event.")
		return
	}
	c.showWebhook(w, r, v, func(ctx context.Context, opened control.Webhook) (*receiver.Notice, error) {
		return receiver.Redeliver(ctx, opened, asVisitor{c.cfg.Audit, v}, sequence)
	})
}

// givenUpPage asks before the events that were given up are redelivered.
type givenUpPage struct {
	page

	Webhook control.Webhook
	Total   int
	Seen    int // the number that was confirmed, if it is no longer true
}

// givenUp opens the webhook of a request, and returns the events that were given up. If it cannot, it answers the request.
func (c *Console) givenUp(w http.ResponseWriter, r *http.Request, v visitor) (content givenUpPage, sequences []uint64, ok bool) {
	ctx, cancel, err := withTime(w, r, scanTimeout)
	if err == nil {
		defer cancel()
		content.Webhook, err = control.Open(ctx, c.js, r.PathValue("name"))
	}
	if err == nil {
		sequences, err = content.Webhook.GivenUp(ctx)
	}
	if err != nil {
		c.webhookFailed(w, v, err)
		return content, nil, false
	}
	content.page, content.Total = c.page(v, "Redeliver given-up events", "webhooks"), len(sequences)
	return content, sequences, true
}

// confirmGivenUp is POST /webhooks/{name}/given-up/confirm. It shows how many events were given up, and asks.
func (c *Console) confirmGivenUp(w http.ResponseWriter, r *http.Request, v visitor) {
	if content, _, ok := c.givenUp(w, r, v); ok {
		c.render(w, http.StatusOK, "givenup.html", content)
	}
}

// redeliverGivenUp is POST /webhooks/{name}/given-up/redeliver. The form has the number that was confirmed. If another number is given up
// now, nothing is done, and the operator is asked again. A second request leads to the job of the first.
func (c *Console) redeliverGivenUp(w http.ResponseWriter, r *http.Request, v visitor) {
	last := c.jobs.Newest("/webhooks/" + r.PathValue("name")) // before the events are listed: a later job may deliver them meanwhile
	if last != nil && last.Running() {
		c.startedJob(w, r, v, last, true)
		return
	}
	content, sequences, ok := c.givenUp(w, r, v)
	if !ok {
		return
	}
	seen, err := strconv.Atoi(r.PostFormValue("count"))
	if err != nil {
		c.fail(w, v, http.StatusBadRequest, "The form has no count. Confirm how many events you mean.")
		return
	}
	if seen != content.Total || content.Total == 0 {
		content.Seen = seen
		c.render(w, http.StatusConflict, "givenup.html", content)
		return
	}
	work := receiver.Redelivery(content.Webhook, asVisitor{c.cfg.Audit, v}, sequences)
	started, room := c.jobs.StartAfter(last, job.Config{
		Verb: "Redeliver", Items: "given-up events", Done: "delivered", Skipped: "not delivered",
		Page: pathOf(content.Webhook), Back: "Back to webhook " + content.Webhook.Name, Total: len(sequences),
		Run: func(ctx context.Context, j *job.Job) error { return c.explain(work(ctx, j)) },
	})
	c.startedJob(w, r, v, started, room)
}
