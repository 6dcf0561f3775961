// Package site has the contracts of the API and of the events, and the pages that show them.
package site

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"
)

// The contracts of the API and of the events.
var (
	//go:embed openapi.yaml
	OpenAPI []byte
	//go:embed asyncapi.yaml
	AsyncAPI []byte
)

//go:embed page.html docs.html problems.html docs.css docs.js redoc.standalone.js.gz
var files embed.FS

var pages = template.Must(template.ParseFS(files, "*.html"))

// Head has what every page needs: its title, and its name for the navigation.
type Head struct{ Title, Page string }

// Render writes a page of this name, such as problems.html, with its content: a Head, or a struct that embeds one.
func Render(w io.Writer, name string, content any) error {
	return pages.ExecuteTemplate(w, name, content)
}

// docsSecurityPolicy lets the page load from and connect to its own server only. Redoc writes styles into the page, which requires
// 'unsafe-inline'.
const docsSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Serve adds the contracts and the pages that show them.
func Serve(handle func(route string, handler http.Handler)) {
	handle("GET /openapi.yaml", content("application/yaml", OpenAPI))
	handle("GET /asyncapi.yaml", content("application/yaml", AsyncAPI))
	handle("GET /{$}", http.RedirectHandler("/docs", http.StatusFound))
	for route, page := range map[string]Head{"GET /docs": {"API", "api"}, "GET /docs/events": {"Events", "events"}} {
		var html bytes.Buffer
		if err := Render(&html, "docs.html", page); err != nil {
			panic(err) // the template is invalid
		}
		served := content("text/html; charset=utf-8", html.Bytes())
		handle(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", docsSecurityPolicy)
			w.Header().Set("Referrer-Policy", "no-referrer")
			served.ServeHTTP(w, r)
		}))
	}
	for name, mediaType := range map[string]string{"docs.css": "text/css; charset=utf-8", "docs.js": "text/javascript; charset=utf-8"} {
		handle("GET /docs/"+name, content(mediaType, file(name)))
	}
	handle("GET /docs/redoc.standalone.js", redoc())
}

func file(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is not embedded
	}
	return b
}

// content serves bytes that change only with the program.
func content(mediaType string, body []byte) http.Handler {
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache") // caches revalidate by the ETag
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

// redoc serves the script that shows the contracts. The script is embedded compressed, and decompressed for clients that do not
// accept gzip.
func redoc() http.Handler {
	const mediaType = "text/javascript; charset=utf-8"
	compressed := file("redoc.standalone.js.gz")
	served := content(mediaType, compressed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			served.ServeHTTP(w, r)
			return
		}
		plain, err := gzip.NewReader(bytes.NewReader(compressed))
		if err != nil {
			panic(err) // the embedded file is not compressed
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.Copy(w, plain) //nolint:gosec // the embedded file is trusted
	})
}
