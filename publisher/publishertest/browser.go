//go:build browser

package publishertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// Browse starts a browser that is installed on this machine. elsewhere counts its requests to other machines, which a proxy
// refuses.
func Browse(t *testing.T) (browser context.Context, elsewhere *atomic.Int64) {
	t.Helper()
	elsewhere = new(atomic.Int64)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Logf("%s %s", r.Method, r.URL)
		elsewhere.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ProxyServer(proxy.URL), // not used for addresses of this machine
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

// BrowserErrors returns a function that returns the errors in the browser's log so far, such as violations of the
// Content-Security-Policy.
func BrowserErrors(ctx context.Context, t *testing.T) func() []string {
	t.Helper()
	var mu sync.Mutex
	var texts []string
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	entries := chromedp.Events(ctx, log.EntryAdded)
	go func() {
		for e, err := range entries {
			if err != nil {
				return
			}
			mu.Lock()
			texts = append(texts, e.Entry.Text+" "+e.Entry.URL)
			mu.Unlock()
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(texts)
	}
}

// Evaluate returns the value of an expression in the page.
func Evaluate[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(expression, err)
	}
	return value
}

// Until waits until an expression is true in the page.
func Until(ctx context.Context, t *testing.T, expression string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(200*time.Millisecond), chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		t.Errorf("%s: %v", expression, err)
	}
}
