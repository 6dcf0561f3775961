package console

import (
	"net/http"
	"strings"

	"clientele/cmd/internal/console/job"
)

// startedJob leads to the page with the progress of a job, if there was room for it.
func (c *Console) startedJob(w http.ResponseWriter, r *http.Request, v visitor, started *job.Job, room bool) {
	if !room {
		c.fail(w, v, http.StatusServiceUnavailable, "There are too many jobs. Stop one, or try again when one has ended.")
		return
	}
	http.Redirect(w, r, "/jobs/"+started.ID, http.StatusSeeOther)
}

// job is GET /jobs/{id}: the progress of a job.
func (c *Console) job(w http.ResponseWriter, r *http.Request, v visitor) {
	found := c.jobs.Find(r.PathValue("id"))
	if found == nil {
		c.fail(w, v, http.StatusNotFound, "There is no such job. The console forgets jobs when it is restarted.")
		return
	}
	c.render(w, http.StatusOK, "job.html", struct {
		page
		Job      *job.Job
		Progress job.Progress
	}{c.page(v, found.Title(), strings.TrimPrefix(found.Page, "/")), found, found.Progress()})
}

// stopJob is POST /jobs/{id}/stop.
func (c *Console) stopJob(w http.ResponseWriter, r *http.Request, _ visitor) {
	if found := c.jobs.Find(r.PathValue("id")); found != nil {
		found.Stop()
	}
	http.Redirect(w, r, "/jobs/"+r.PathValue("id"), http.StatusSeeOther)
}
