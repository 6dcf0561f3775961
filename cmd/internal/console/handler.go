package console

import (
	"net/http"

	"clientele/publisher/endpoint/control"
)

// handler returns the pages of the console.
func (c *Console) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/{name}", static())
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, _ *http.Request) { c.signInPage(w, http.StatusOK, "") })
	mux.HandleFunc("POST /sign-in", c.signIn)
	mux.Handle("POST /sign-out", c.look(c.signOut))

	mux.Handle("GET /{$}", c.look(c.status))
	mux.Handle("GET /", c.look(func(w http.ResponseWriter, _ *http.Request, v visitor) {
		c.fail(w, v, http.StatusNotFound, "The console has no such page.")
	}))
	mux.Handle("GET /live", c.look(c.live))
	mux.Handle("GET /runbooks/{anchor}", c.look(c.runbookPage))
	mux.Handle("GET /rejections", c.look(c.rejections))
	mux.Handle("GET /operations", c.look(c.operation))
	mux.Handle("POST /operations/find", c.look(c.findOperation))
	mux.Handle("GET /webhooks/{name}", c.look(c.webhook))
	mux.Handle("GET /jobs/{id}", c.look(c.job))

	mux.Handle("POST /workers/pause", c.act(c.pause))
	mux.Handle("POST /workers/resume", c.act(c.resume))
	mux.Handle("POST /operations/personal", c.act(c.personal))
	mux.Handle("POST /rejections/confirm", c.act(c.confirm))
	mux.Handle("POST /rejections/settle", c.act(c.settle))
	mux.Handle("POST /webhooks/{name}/pause", c.act(c.changeWebhook(control.Webhook.Pause)))
	mux.Handle("POST /webhooks/{name}/resume", c.act(c.changeWebhook(control.Webhook.Resume)))
	mux.Handle("POST /webhooks/{name}/test", c.act(c.testWebhook))
	mux.Handle("POST /webhooks/{name}/redeliver", c.act(c.redeliver))
	mux.Handle("POST /webhooks/{name}/given-up/confirm", c.act(c.confirmGivenUp))
	mux.Handle("POST /webhooks/{name}/given-up/redeliver", c.act(c.redeliverGivenUp))
	mux.Handle("POST /jobs/{id}/stop", c.act(c.stopJob))
	return c.guard(mux)
}
