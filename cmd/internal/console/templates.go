package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"clientele/cmd/internal/console/runbook"
	"clientele/cmd/internal/figures"
)

//go:embed static/*.css static/*.js static/*.svg templates/*.html
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"ago":       figures.Ago,
	"duration":  func(seconds float64) string { return figures.Duration(time.Duration(seconds * float64(time.Second))) },
	"grouped":   grouped,
	"millis":    figures.Millis,
	"percent":   func(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) },
	"perSecond": figures.PerSecond,
	"printable": printable,
	"size":      figures.Size,
	"utc":       func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
	"machine":   func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"runbook":   runbook.Path,
}).ParseFS(files, "templates/*.html"))

// grouped returns a count of any integer type with commas.
func grouped(n any) string {
	count, err := strconv.ParseUint(fmt.Sprint(n), 10, 64)
	if err != nil {
		return fmt.Sprint(n)
	}
	return figures.Grouped(count)
}

// printable returns printable text unchanged and quotes any other text in ASCII: a character can change the direction of what follows.
func printable(text any) string {
	s := fmt.Sprint(text)
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// static are the files that change only with the program.
func static() http.Handler {
	mediaTypes := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		body, err := files.ReadFile("static/" + name)
		if err != nil || mediaTypes[path.Ext(name)] == "" {
			http.NotFound(w, r)
			return
		}
		sum := sha256.Sum256(body)
		w.Header().Set("Content-Type", mediaTypes[path.Ext(name)])
		w.Header().Set("Cache-Control", "no-cache") // caches revalidate by the ETag
		w.Header().Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}
