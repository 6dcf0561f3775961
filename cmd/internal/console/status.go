package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"clientele/cmd/internal/console/runbook"
	"clientele/cmd/internal/console/watch"

	"github.com/go-json-experiment/json"
)

// statusPage is the content of the first page.
type statusPage struct {
	page
	*watch.Snapshot
}

// status is GET /.
func (c *Console) status(w http.ResponseWriter, r *http.Request, v visitor) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	c.render(w, http.StatusOK, "status.html", statusPage{c.page(v, "Status", "status"), c.watch.One(ctx)})
}

// live is GET /live: server-sent events. history has the points of the chart so far, point the next one, and status the parts of the
// page that change. The credential of the visitor and its scopes are checked before each of them.
func (c *Console) live(w http.ResponseWriter, r *http.Request, v visitor) {
	looks, leave := c.watch.Join()
	defer leave()
	stream := http.NewResponseController(w)
	// The time limits of the server are those of short requests. Each event has a limit of its own.
	if err := stream.SetReadDeadline(time.Time{}); err != nil {
		c.fail(w, v, http.StatusNotImplemented, "This connection cannot show live figures.")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies
	chart, err := json.Marshal(c.watch.Points())
	if err == nil {
		err = send(w, stream, "history", chart)
	}
	for err == nil {
		select {
		case <-r.Context().Done():
			return
		case s := <-looks:
			if v, err = c.visitor(r); err != nil || !v.mayLook() {
				return // the browser reconnects, and is asked to sign in
			}
			err = c.sendLook(w, stream, v, s)
		}
	}
}

// send sends one event.
func send(w http.ResponseWriter, stream *http.ResponseController, name string, data []byte) error {
	if err := stream.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
		return err
	}
	text := strings.ReplaceAll(string(data), "\n", "\ndata: ")
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, text); err != nil {
		return err
	}
	return stream.Flush()
}

// sendLook sends what one look found.
func (c *Console) sendLook(w http.ResponseWriter, stream *http.ResponseController, v visitor, s *watch.Snapshot) error {
	if s.Point != nil {
		point, err := json.Marshal(s.Point)
		if err != nil {
			return err
		}
		if err := send(w, stream, "point", point); err != nil {
			return err
		}
	}
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, "live", statusPage{c.page(v, "", ""), s}); err != nil {
		c.log.Error().Err(err).Msg("cannot render the status of the console")
		return err
	}
	return send(w, stream, "status", body.Bytes())
}

// runbookPage is GET /runbooks/{anchor}.
func (c *Console) runbookPage(w http.ResponseWriter, r *http.Request, v visitor) {
	heading, blocks := runbook.Section(r.PathValue("anchor"))
	if heading == "" {
		c.fail(w, v, http.StatusNotFound, "The documentation has no such section.")
		return
	}
	c.render(w, http.StatusOK, "runbook.html", struct {
		page
		Blocks []runbook.Block
	}{c.page(v, heading, ""), blocks})
}
