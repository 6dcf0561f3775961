//go:build browser

package ingress_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/publisher/publishertest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// find scrolls until a text is on the page, because redoc renders a section when it becomes visible.
const find = `(scrollTo(0, scrollY + innerHeight < document.documentElement.scrollHeight ? scrollY + 400 : 0),
	document.body.textContent.includes(%q))`

// TestDocsInABrowser checks that the pages show both contracts on a desktop and on a phone, and send no request to other
// machines. Run go test -artifacts to keep screenshots.
func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, elsewhere := publishertest.Browse(t)
	for path, shows := range map[string][]string{
		"/":            {"Create a client", "/api/v2/operations/{id}", "communicationPreferences", "Idempotency-Key"},
		"/docs/events": {"Print events", "client.created", "ce-subject"},
		"/problems/":   {"Problems", "Authentication required"},
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
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// TestQuickStartInABrowser checks that commands on a phone scroll instead of wrapping, and contain the address of the page.
func TestQuickStartInABrowser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, _ := publishertest.Browse(t)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 900), chromedp.Navigate(h.api.URL+"/docs")); err != nil {
		t.Fatal(err)
	}
	example := publishertest.Evaluate[string](ctx, t, "document.querySelector('header pre code').textContent")
	if !strings.HasPrefix(example, "curl -i "+h.api.URL+"/api/v2/clients ") {
		t.Error(example)
	}
	wrapped := publishertest.Evaluate[int](ctx, t, `[...document.querySelectorAll('header pre code')].filter(code => {
		const style = getComputedStyle(code)
		const lines = (code.clientHeight - 2 * parseFloat(style.paddingTop)) / parseFloat(style.lineHeight)
		return Math.round(lines) > code.textContent.split('\n').length
	}).length`)
	if wrapped != 0 {
		t.Errorf("%d examples wrap", wrapped)
	}
	if over := publishertest.Evaluate[int](ctx, t, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		t.Errorf("the page is %d pixels too wide", over)
	}
}

// TestResponsesInABrowser checks that every operation is expanded, that 202 is the selected response of create, and that the page
// reports no errors.
func TestResponsesInABrowser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, _ := publishertest.Browse(t)
	errors := publishertest.BrowserErrors(ctx, t)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1400, 900), chromedp.Navigate(h.api.URL+"/docs")); err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"createclient", "getclient", "getoperation"} {
		publishertest.Until(ctx, t, `(scrollTo(0, scrollY + innerHeight < document.documentElement.scrollHeight ? scrollY + 400 : 0),
			document.querySelector('[data-section-id$=`+section+`]')?.textContent.includes('Response'))`)
	}
	const chosen = `[...document.querySelectorAll('[data-section-id$=createclient] [data-response-codes-tablist] [aria-selected=true]')].map(tab => tab.textContent)`
	publishertest.Until(ctx, t, chosen+`.join() === '202'`)
	publishertest.Until(ctx, t, `[...document.querySelectorAll('.panel-response-samples')].some(panel => panel.textContent.includes('"pending"'))`)
	if images := publishertest.Evaluate[int](ctx, t, "document.querySelectorAll('redoc img').length"); images != 0 {
		t.Errorf("%d images", images)
	}
	if texts := errors(); len(texts) > 0 {
		t.Errorf("errors: %q", texts)
	}
}

// TestColoursInABrowser checks that each page has one background, also in dark mode, and that all pages have the same one.
func TestColoursInABrowser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, _ := publishertest.Browse(t)
	for _, scheme := range []string{"light", "dark"} {
		params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, params); err != nil {
			t.Fatal(err)
		}
		backgrounds := map[string]bool{}
		for _, path := range []string{"/docs", "/docs/events", "/problems/", "/problems/invalid"} {
			if err := chromedp.Do(ctx, chromedp.EmulateViewport(1400, 900), chromedp.Navigate(h.api.URL+path)); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(path, "/docs") {
				publishertest.Until(ctx, t, "document.querySelectorAll('[data-section-id]').length > 2")
			}
			// An element that fills a large part of the window is a background, not a box of code.
			all := publishertest.Evaluate[[]string](ctx, t, `[...document.querySelectorAll('body, main, redoc *')].filter(e => {
				const box = e.getBoundingClientRect()
				return e === document.body || box.width * box.height > innerWidth * innerHeight / 8
			}).map(e => getComputedStyle(e).backgroundColor).filter(colour => colour !== 'rgba(0, 0, 0, 0)')`)
			if len(all) == 0 {
				t.Errorf("%s has no background", path)
			}
			for _, colour := range all {
				backgrounds[colour] = true
			}
			if text := publishertest.Evaluate[string](ctx, t, "document.querySelector('header nav').textContent"); !strings.Contains(text, "asyncapi.yaml") {
				t.Errorf("%s has another header: %s", path, text)
			}
		}
		if len(backgrounds) != 1 {
			t.Errorf("%s: backgrounds %v", scheme, backgrounds)
		}
	}
}
