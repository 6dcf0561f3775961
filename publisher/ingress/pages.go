package ingress

import (
	"bytes"
	"net/http"
	"slices"

	"clientele/publisher/ingress/problem"
	"clientele/publisher/ingress/site"
)

// contentSecurityPolicy allows the style sheet of the site and nothing else.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// problems is GET /problems/{type}, a page about one type of problem, and GET /problems/, a list of all types.
func problems(w http.ResponseWriter, r *http.Request) {
	content := struct {
		site.Head
		All []problem.Type
		One *problem.Type
	}{Head: site.Head{Title: "Problems", Page: "problems"}, All: problem.Types[:]}
	if r.URL.Path != "/problems/" {
		i := slices.IndexFunc(content.All, func(t problem.Type) bool { return t.Type == r.URL.Path })
		if i < 0 {
			problem.NotFound.Write(w, "there is no such problem type; see /problems/ for the list")
			return
		}
		content.One = &content.All[i]
		content.Title = content.One.Title
	}
	var body bytes.Buffer
	if err := site.Render(&body, "problems.html", content); err != nil {
		problem.Internal.Write(w, "")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", contentSecurityPolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(body.Bytes())
}
