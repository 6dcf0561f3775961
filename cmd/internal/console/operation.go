package console

import (
	"net/http"
	"net/url"

	"clientele/cmd/internal/console/story"
)

// operationPage is the content of the page about one operation.
type operationPage struct {
	page
	Query    string
	Story    *story.Story // nil before a look-up
	Personal string       // JSON of the record, or the body of the rejected command, on request
}

// operation is GET /operations?id=.
func (c *Console) operation(w http.ResponseWriter, r *http.Request, v visitor) {
	content := operationPage{page: c.page(v, "Operations", "operations"), Query: r.URL.Query().Get("id")}
	if content.Query != "" {
		var err error
		if content.Story, err = c.stories.Find(r.Context(), content.Query); err != nil {
			c.unavailable(w, v, err)
			return
		}
	}
	c.renderOperation(w, content)
}

func (c *Console) renderOperation(w http.ResponseWriter, content operationPage) {
	status := http.StatusOK
	if content.Story != nil && !content.Story.Known() {
		status = http.StatusNotFound
	}
	c.render(w, status, "operation.html", content)
}

// findOperation is POST /operations/find. It computes the id of the request that a caller sent under an idempotency key. The key is not in
// a URL, which browsers remember.
func (c *Console) findOperation(w http.ResponseWriter, r *http.Request, v visitor) {
	caller, key := r.PostFormValue("caller"), r.PostFormValue("key")
	if caller == "" || key == "" {
		c.fail(w, v, http.StatusBadRequest, "Enter both the caller and the idempotency key.")
		return
	}
	id, err := c.stories.KeyedID(r.Context(), caller, key)
	if err != nil {
		c.unavailable(w, v, err)
		return
	}
	http.Redirect(w, r, "/operations?"+url.Values{"id": {id.String()}}.Encode(), http.StatusSeeOther)
}
