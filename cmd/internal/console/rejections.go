package console

import (
	"net/http"

	"clientele/cmd/internal/console/job"
	"clientele/cmd/internal/rejected"
	"clientele/domain"
	"clientele/publisher"
)

// maxListed is how many rejections a page lists.
const maxListed = 100

// rejectionsPage is the content of the page about rejections.
type rejectionsPage struct {
	page
	Selection selection
	Invalid   string // what is wrong with the filter, or ""
	Reasons   []domain.Code
	Jobs      []*job.Job
	Total     int
	Groups    []rejected.Group
	// Listed are the newest, without personal data.
	Listed []publisher.StoredRejection
}

// rejections is GET /rejections. It reads all rejections, which is what it costs to group them.
func (c *Console) rejections(w http.ResponseWriter, r *http.Request, v visitor) {
	content := &rejectionsPage{page: c.page(v, "Rejections", "rejections"), Reasons: reasons, Jobs: c.jobs.Of("/rejections")}
	var err error
	if content.Selection, err = parseSelection(r.URL.Query()); err != nil {
		content.Invalid = err.Error()
		c.render(w, http.StatusBadRequest, "rejections.html", content)
		return
	}
	content.Selection.IDs = nil
	from, ctx, cancel, err := c.openRejections(w, r)
	if err != nil {
		c.unavailable(w, v, err)
		return
	}
	defer cancel()
	groups := rejected.Groups{}
	for rejection, err := range content.Selection.each(ctx, from) {
		if err != nil {
			c.unavailable(w, v, err)
			return
		}
		groups.Add(rejection)
		content.list(rejection)
	}
	content.Groups = groups.Sorted()
	c.render(w, http.StatusOK, "rejections.html", content)
}

// list adds a rejection that is newer than those before. Bodies are not kept.
func (p *rejectionsPage) list(r publisher.StoredRejection) {
	p.Total++
	r.Command.Body = nil
	p.Listed = append(p.Listed, r)
	if len(p.Listed) >= 2*maxListed {
		p.Listed = append(p.Listed[:0], p.Listed[len(p.Listed)-maxListed:]...)
	}
}

// Newest returns the newest of the listed rejections, the newest first.
func (p *rejectionsPage) Newest() []publisher.StoredRejection {
	newest := make([]publisher.StoredRejection, 0, maxListed)
	for i := len(p.Listed) - 1; i >= 0 && len(newest) < maxListed; i-- {
		newest = append(newest, p.Listed[i])
	}
	return newest
}
