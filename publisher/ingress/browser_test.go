//go:build browser

package ingress_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browse returns a browser that this machine has, and how many requests it has sent to elsewhere: those go to a proxy that
// answers none.
func browse(t *testing.T) (browser context.Context, elsewhere *atomic.Int64) {
	t.Helper()
	elsewhere = new(atomic.Int64)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Logf("%s %s", r.Method, r.URL)
		elsewhere.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ProxyServer(proxy.URL), // which is not asked for what is on this machine
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	if path, err := exec.LookPath("chromium-headless-shell"); err == nil { // as Debian calls it
		options = append(options, chromedp.ExecPath(path))
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err, "; .ci/install chromium")
	}
	return ctx, elsewhere
}

// find opens the first operation and scrolls until a text is on the page: redoc shows what it has when it is looked at.
const find = `([...document.querySelectorAll('redoc a')].find(a => a.textContent.includes('/api/v2/clients'))?.click(),
	scrollTo(0, scrollY + innerHeight < document.documentElement.scrollHeight ? scrollY + 400 : 0),
	document.body.textContent.includes(%q))`

// TestDocsInABrowser: the pages show both contracts, on a desk and on a telephone, without a request to elsewhere. Screenshots
// are left by go test -artifacts.
func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, elsewhere := browse(t)
	for path, shows := range map[string][]string{
		"/docs":        {"Take a client in", "/api/v2/operations/{id}", "communicationPreferences", "Idempotency-Key"},
		"/docs/events": {"See events go by", "client.created", "ce-subject"},
	} {
		for _, width := range []int64{1400, 390} {
			name := fmt.Sprintf("%s at %d", path, width)
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(h.api.URL+path)); err != nil {
				t.Fatal(name, err)
			}
			for _, text := range shows {
				if _, err := chromedp.Run(ctx, chromedp.Poll[bool](fmt.Sprintf(find, text), chromedp.WithPollingInterval(200*time.Millisecond), chromedp.WithPollingTimeout(20*time.Second))); err != nil {
					t.Errorf("%s does not show %s: %v", name, text, err)
				}
			}
			over, err := chromedp.Run(ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth - innerWidth"))
			if err != nil || over > 0 {
				t.Errorf("%s is %d pixels too wide (%v)", name, over, err)
			}
			picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(name, err)
			}
			file := strings.ReplaceAll(strings.Trim(name, "/"), "/", "-") + ".png"
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), file), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The examples are for the place that the page is from.
	if err := chromedp.Do(ctx, chromedp.Navigate(h.api.URL+"/docs")); err != nil {
		t.Fatal(err)
	}
	example, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.querySelector('header pre code').textContent"))
	if err != nil || !strings.HasPrefix(example, "curl -i "+h.api.URL+"/api/v2/clients ") {
		t.Errorf("%v: %s", err, example)
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}
