package console

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"clientele/cmd/internal/console/job"
	"clientele/domain"
	"clientele/publisher"
)

// confirmPage asks before rejections are settled.
type confirmPage struct {
	page
	Verb      job.Verb
	Selection selection
	Total     int
	Reasons   map[domain.Code]int
	Seen      int // the number that was confirmed, if it is no longer true
}

// Erased returns how many rejections are of erased clients. They have no command to retry.
func (p confirmPage) Erased() int { return p.Reasons[domain.CodeErased] }

// chosen is what the form of a request chooses.
type chosen struct {
	confirmPage
	from *publisher.Rejections
	each func(context.Context) iter.Seq2[publisher.StoredRejection, error]
}

// choose counts what the form of a request selects. If it cannot, it answers the request and returns nil.
func (c *Console) choose(w http.ResponseWriter, r *http.Request, v visitor) *chosen {
	if err := r.ParseForm(); err != nil {
		c.fail(w, v, http.StatusBadRequest, "The form is not valid: "+err.Error())
		return nil
	}
	what, scope, _ := strings.Cut(r.PostForm.Get("do"), "-")
	s, err := parseSelection(r.PostForm)
	if scope == "all" {
		s.IDs = nil
	}
	_, known := job.Verb(what).Settlement()
	switch {
	case err != nil:
		c.fail(w, v, http.StatusBadRequest, "The selection is not valid: "+err.Error())
		return nil
	case !known || scope != "all" && scope != "selected":
		c.fail(w, v, http.StatusBadRequest, "The console can retry and drop rejections only.")
		return nil
	case scope == "selected" && len(s.IDs) == 0:
		c.fail(w, v, http.StatusBadRequest, "Go back, and select at least one rejection.")
		return nil
	}
	from, ctx, cancel, err := c.openRejections(w, r)
	if err == nil {
		defer cancel()
		if s = s.fixed(); s.UpTo == 0 {
			s.UpTo, err = from.Newest(ctx)
			s.UpTo = max(s.UpTo, 1) // 0 means no bound
		}
	}
	if err != nil {
		c.unavailable(w, v, err)
		return nil
	}
	found := &chosen{confirmPage{page: c.page(v, job.Verb(what).Title()+" rejections", "rejections"), Verb: job.Verb(what), Selection: s, Reasons: map[domain.Code]int{}}, from, nil}
	found.each = func(ctx context.Context) iter.Seq2[publisher.StoredRejection, error] { return s.existing(ctx, from) }
	for rejection, err := range found.each(ctx) {
		if err != nil {
			c.unavailable(w, v, err)
			return nil
		}
		found.Total++
		found.Reasons[rejection.Reason]++
	}
	return found
}

// confirm is POST /rejections/confirm. It shows how many rejections the form selects, and asks.
func (c *Console) confirm(w http.ResponseWriter, r *http.Request, v visitor) {
	if found := c.choose(w, r, v); found != nil {
		c.render(w, http.StatusOK, "confirm.html", found.confirmPage)
	}
}

// settle is POST /rejections/settle. The form has the number that was confirmed. If another number is selected now, nothing is done, and
// the operator is asked again.
func (c *Console) settle(w http.ResponseWriter, r *http.Request, v visitor) {
	found := c.choose(w, r, v)
	if found == nil {
		return
	}
	seen, err := strconv.Atoi(r.PostForm.Get("count"))
	if err != nil {
		c.fail(w, v, http.StatusBadRequest, "The form has no count. Confirm how many rejections you mean.")
		return
	}
	if seen != found.Total || found.Total == 0 {
		found.Seen = seen
		c.render(w, http.StatusConflict, "confirm.html", found.confirmPage)
		return
	}
	by, _ := found.Verb.Settlement()
	work := job.Rejections{Each: found.each, Settle: func(ctx context.Context, r publisher.StoredRejection) error {
		return by.One(ctx, found.from, c.cfg.Audit, v.record(""), r)
	}}
	started, room := c.jobs.Start(job.Config{
		Verb: found.Verb.Title(), Items: "rejections", Done: found.Verb.Done(), Skipped: "skipped", Page: "/rejections", Back: "Back to the rejections",
		Total: found.Total, Run: work.Run,
	})
	c.startedJob(w, r, v, started, room)
}
