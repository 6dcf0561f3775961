package console

import (
	"context"
	"net/http"

	"clientele/cmd/internal/console/story"
	"clientele/domain"

	"github.com/go-json-experiment/json/jsontext"
)

// personal is POST /operations/personal: the page about an operation with the record of its client, or with the body of its rejected
// command. That it is read is recorded before it is shown.
func (c *Console) personal(w http.ResponseWriter, r *http.Request, v visitor) {
	content := operationPage{page: c.page(v, "Operations", "operations"), Query: r.PostFormValue("id")}
	var err error
	if content.Story, err = c.stories.Find(r.Context(), content.Query); err != nil {
		c.unavailable(w, v, err)
		return
	}
	action, text, err := c.personalData(r.Context(), content.Story)
	if err == nil && text != "" {
		record := v.record(action)
		record.ClientID = content.Story.Client
		err = c.cfg.Audit.Record(r.Context(), record)
	}
	if err != nil {
		c.unavailable(w, v, err)
		return
	}
	content.Personal = text
	c.renderOperation(w, content)
}

// personalData returns the record of the client, or else the body of the rejected command, and the action of reading it.
func (c *Console) personalData(ctx context.Context, s *story.Story) (action domain.AuditAction, text string, err error) {
	switch {
	case !s.StoredAt.IsZero():
		client, err := c.cfg.Store.Get(ctx, s.Client)
		if err != nil {
			return "", "", err
		}
		body, err := client.JSON()
		return domain.AuditClientRead, indented(body), err
	case s.Rejection != nil:
		return domain.AuditRejectionRead, indented(s.Rejection.Command.Body), nil
	}
	return "", "", nil
}

// indented returns JSON with indents, and other bytes unchanged.
func indented(body []byte) string {
	value := jsontext.Value(body).Clone()
	if err := value.Indent(jsontext.WithIndent("  ")); err != nil {
		return printable(string(body))
	}
	return string(value)
}
