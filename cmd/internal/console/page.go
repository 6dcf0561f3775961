package console

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/auth"
)

// page has what every page needs.
type page struct {
	Title, Name string // Name is that of its link in the navigation
	Caller      string // "" before sign-in
	SignedIn    bool   // with a session, which can be ended
	MayAct      bool
	Version     string
	Now         time.Time
}

// visitor is who sends a request.
type visitor struct {
	auth.Caller

	session string // the id of the browser's session, or ""
	actor   domain.AuditActor
	address string
}

// mayLook reports whether the visitor may see what has no personal data.
func (v visitor) mayLook() bool { return v.May(auth.ScopeOperatorRead, auth.ScopeOperator) }

// mayAct reports whether the visitor may change something and read personal data.
func (v visitor) mayAct() bool { return v.May(auth.ScopeOperator) }

// record returns the beginning of an audit record of what the visitor does.
func (v visitor) record(action domain.AuditAction) domain.AuditRecord {
	return domain.AuditRecord{Action: action, Actor: v.actor, Address: v.address, Result: domain.AuditSucceeded}
}

// page returns what every page for this visitor needs.
func (c *Console) page(v visitor, title, name string) page {
	return page{
		Title: title, Name: name, Caller: v.Name, SignedIn: v.session != "", MayAct: v.mayAct(), Version: c.cfg.Version, Now: time.Now().UTC(),
	}
}

// render writes a page.
func (c *Console) render(w http.ResponseWriter, status int, template string, content any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, template, content); err != nil {
		c.log.Error().Err(err).Str("template", template).Msg("cannot render a page of the console")
		http.Error(w, "the page cannot be rendered", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// fail writes a page with an error.
func (c *Console) fail(w http.ResponseWriter, v visitor, status int, text string) {
	c.render(w, status, "message.html", struct {
		page
		Text string
	}{c.page(v, http.StatusText(status), ""), text})
}

// unavailable writes a page about NATS or a database that does not answer.
func (c *Console) unavailable(w http.ResponseWriter, v visitor, err error) {
	c.fail(w, v, http.StatusServiceUnavailable, c.reason(err))
}

// reason says why a request has failed.
func (c *Console) reason(err error) string {
	if errors.Is(err, context.Canceled) { // a browser that has left reads no response
		return "This process is stopping and has not completed the request. Try again when it has started."
	}
	return c.explain(err).Error()
}
