package ingress_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"clientele/publisher/ingress"
	"clientele/publisher/ingress/auth"

	"github.com/rs/zerolog"
)

// Every type of problem that the source has is a page, and the list leads to it.
func TestProblemPages(t *testing.T) {
	t.Parallel()
	handler := ingress.NewHandler(nil, nil, ingress.Config{Authenticator: auth.AllowAll{}, Logger: zerolog.Nop()})
	get := func(path string) answer {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return answer{w.Result(), w.Body.Bytes()}
	}
	source, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := string(get("/problems/").body)
	pages := 0
	ast.Inspect(source, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "problemType" {
			return true
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			t.Fatal("a type that is not written out")
		}
		path := "/problems/" + strings.Trim(literal.Value, `"`)
		page := get(path)
		if page.StatusCode != http.StatusOK || !strings.Contains(string(page.body), "What to do") || !strings.Contains(list, `href="`+path+`"`) ||
			page.Header.Get("Content-Security-Policy") == "" || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %s %v", path, page.Status, page.Header)
		}
		pages++
		return true
	})
	if pages < 15 {
		t.Errorf("%d pages", pages)
	}
	if a := get("/"); a.StatusCode != http.StatusFound || a.Header.Get("Location") != "/docs" {
		t.Errorf("/: %s %v", a.Status, a.Header)
	}
	get("/elsewhere").problem(t, http.StatusNotFound, "not-found")
	get("/problems/else").problem(t, http.StatusNotFound, "not-found")
}
