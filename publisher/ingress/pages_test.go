package ingress_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"
	"clientele/publisher/ingress/problem"

	"github.com/rs/zerolog"
)

// TestProblemPages checks that every type of problem has a page with a text, and that the list links to it.
func TestProblemPages(t *testing.T) {
	t.Parallel()
	handler := ingress.NewHandler(nil, nil, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	get := func(path string) answer {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return answer{w.Result(), w.Body.Bytes()}
	}
	list := string(get("/problems/").body)
	for i, p := range problem.Types {
		if !strings.HasPrefix(p.Type, "/problems/") || p.Title == "" || http.StatusText(p.Status) == "" || p.Meaning == "" || p.Remedy == "" {
			t.Errorf("problem type %d is incomplete: %+v", i, p)
			continue
		}
		page := get(p.Type)
		text := html.UnescapeString(string(page.body))
		if page.StatusCode != http.StatusOK || !strings.Contains(text, "What to do") || !strings.Contains(list, `href="`+p.Type+`"`) ||
			page.Header.Get("Content-Security-Policy") == "" || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %s %v", p.Type, page.Status, page.Header)
		}
		for _, part := range []string{p.Title, strconv.Itoa(p.Status), p.Meaning, p.Remedy} {
			if !strings.Contains(text, part) {
				t.Errorf("%s does not show %q", p.Type, part)
			}
		}
	}
	if n := len(problem.Types); n < 15 {
		t.Errorf("%d types of problems", n)
	}
	if a := get("/"); a.StatusCode != http.StatusFound || a.Header.Get("Location") != "/docs" {
		t.Errorf("/: %s %v", a.Status, a.Header)
	}
	get("/elsewhere").problem(t, http.StatusNotFound, "not-found")
	get("/problems/else").problem(t, http.StatusNotFound, "not-found")
}
