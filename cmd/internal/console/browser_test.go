//go:build browser

package console_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// axe returns the script of axe-core, see testdata/README.md.
func axe(t *testing.T) string {
	t.Helper()
	file, err := os.Open("testdata/axe.min.js.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// tab is a page in a browser.
type tab struct {
	ctx context.Context //nolint:containedctx // chromedp finds the browser by it
	t   *testing.T
	url string
	axe string
}

func (h *harness) open(ctx context.Context, script string) *tab {
	return &tab{ctx, h.t, h.url, script}
}

// goTo opens a page.
func (b *tab) goTo(path string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(b.url+path)); err != nil {
		b.t.Fatal(path, err)
	}
}

// look sets the width of the window and the colour scheme.
func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, params); err != nil {
		b.t.Fatal(err)
	}
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(width, 900)); err != nil {
		b.t.Fatal(err)
	}
}

// does runs a statement in the page.
func (b *tab) does(statement string) {
	b.t.Helper()
	publishertest.Evaluate[bool](b.ctx, b.t, "(() => {"+statement+"; return true})()")
}

// click clicks an element, and enter sets the value of a field.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%q) !== null", selector))
	b.does(fmt.Sprintf("document.querySelector(%q).click()", selector))
}

func (b *tab) enter(selector, value string) {
	b.t.Helper()
	b.does(fmt.Sprintf("document.querySelector(%q).value = %q", selector, value))
}

// opens does what opens another page, and waits for that page. Only then can what both pages have be looked for.
func (b *tab) opens(act func(selector string), selector string) {
	b.t.Helper()
	b.does("window.left = true")
	act(selector)
	b.until("!window.left && document.readyState === 'complete'")
}

// until waits until an expression is true, also on another page that the browser opens meanwhile.
func (b *tab) until(expression string) {
	b.t.Helper()
	publishertest.Eventually(b.t, expression, func() bool {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		return err == nil && is
	})
}

// shows waits until the page has a text.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.readyState === 'complete' && document.body.innerText.includes(%q)", text))
}

// accessible checks the page with axe-core and its width, and keeps a screenshot.
func (b *tab) accessible(name string) {
	b.t.Helper()
	if over := publishertest.Evaluate[int](b.ctx, b.t, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		b.t.Errorf("%s is %d pixels too wide", name, over)
	}
	b.does(b.axe + `; window.axeFound = null
		axe.run().then((found) => { window.axeFound = found }, (error) => { window.axeFound = { violations: [{ id: String(error), nodes: [] }], passes: [] } })`)
	b.until("window.axeFound !== null")
	found := publishertest.Evaluate[string](b.ctx, b.t, `window.axeFound.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html + ' ' + n.failureSummary).join('; ')).join('\n')`)
	if found != "" {
		b.t.Errorf("%s: %s", name, found)
	}
	if passed := publishertest.Evaluate[int](b.ctx, b.t, "window.axeFound.passes.length"); passed < 10 {
		b.t.Errorf("%s: axe-core checked only %d rules", name, passed)
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(name, err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// busy fills an installation: clients, rejections of several kinds, and a subscriber.
func busy(t *testing.T, h *harness, dir string) (client, rejected string) {
	t.Helper()
	if status, stdout, stderr := testcluster.RunLine(t, "events", "subscribe", "mailer", "--data-dir", dir); status != 0 {
		t.Fatal(stdout, stderr)
	}
	if status, stdout, stderr := testcluster.RunLine(t, "webhooks", "add", "crm", "http://127.0.0.1:9/events", "--data-dir", dir); status != 0 {
		t.Fatal(stdout, stderr)
	}
	client = h.created("onboarding-4712")
	for range 20 {
		h.created("")
	}
	var all []domain.Rejection
	for i := range 10_000 {
		pointers := [][]string{{"/emailAddress"}, {"/address/postcode", "/telephoneNumber"}, {"/dob"}}[i%3]
		all = append(all, rejection(t, domain.CodeInvalid, pointers...))
	}
	h.reject(all...)
	h.reject(rejection(t, domain.CodeUnstorable))
	return client, all[0].ID
}

// styles are those in which pages are checked.
var styles = []struct {
	name   string
	width  int64
	scheme string
}{{"light", 1280, "light"}, {"dark", 1280, "dark"}, {"phone", 360, "light"}, {"phone-dark", 360, "dark"}}

// TestConsoleInABrowser checks every page on a desktop and on a phone, in light and in dark: with axe-core, for scripts and styles that
// the security policy refuses, and for requests elsewhere. Run go test -artifacts to keep screenshots.
func TestConsoleInABrowser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHarness(t, "--data-dir", dir)
	client, rejected := busy(t, h, dir)
	ctx, elsewhere := publishertest.Browse(t)
	errors := publishertest.BrowserErrors(ctx, t)
	b := h.open(ctx, axe(t))
	b.goTo("/operations")
	b.keys(kb.Tab) // the first stop leads past the navigation
	b.until("document.activeElement.className === 'skip'")
	b.keys(kb.Enter)
	b.until("document.activeElement.id === 'main'")
	stop := traffic(t, h)
	for _, style := range styles {
		b.look(style.width, style.scheme)
		b.goTo("/")
		b.until("document.querySelector('#chart canvas') && document.querySelectorAll('#events tbody tr').length === 10")
		b.accessible("status-" + style.name)
		b.goTo("/rejections")
		b.shows("Drop all 10,001")
		b.accessible("rejections-" + style.name)
		b.goTo("/operations?id=" + client)
		b.shows("succeeded")
		b.accessible("client-" + style.name)
		b.goTo("/operations?id=" + rejected)
		b.click("form[action='/operations/personal'] button")
		b.shows("Smith")
		b.accessible("rejection-" + style.name)
		b.opens(b.click, "button[value=drop-selected]")
		b.shows("cannot be undone")
		b.accessible("confirm-" + style.name)
		b.goTo("/runbooks/rejections")
		b.shows("From deploy/README.md")
		b.accessible("runbook-" + style.name)
		b.goTo("/nothing-here")
	}
	stop()
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
	for _, text := range errors() {
		if !strings.Contains(text, "/nothing-here") { // the browser logs the answer 404, too
			t.Errorf("the browser reports: %s", text)
		}
	}
}

// traffic creates clients until stop is called.
func traffic(t *testing.T, h *harness) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			r := testcluster.PostAndWait(t, h.serve.API(), testcluster.Jane, "")
			if r.Status != http.StatusCreated && r.Status != http.StatusServiceUnavailable { // while the disk stalls
				t.Errorf("%d: %s", r.Status, r.Body)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// TestLiveFiguresInABrowser checks that the page changes without a reload, keeps the focus, and says when it has lost the console.
func TestLiveFiguresInABrowser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx, _ := publishertest.Browse(t)
	b := h.open(ctx, "")
	b.goTo("/")
	b.until("document.querySelector('#chart canvas') !== null")
	b.does("window.same = true")
	id := h.created("")
	b.shows(id)
	stop := traffic(t, h)
	b.until("[...document.querySelectorAll('#figures dd')].some((dd) => /^[1-9][0-9,.]*\\/s$/.test(dd.textContent))")
	b.until("data[0].length > 3 && data[1].some((rate) => rate > 0)")
	// The part with the focus does not change.
	b.does("document.querySelector('#events a').focus()")
	focused := publishertest.Evaluate[string](b.ctx, t, "document.activeElement.textContent")
	before := publishertest.Evaluate[int](b.ctx, t, "data[0].length")
	b.until(fmt.Sprintf("data[0].length > %d", before+2))
	if now := publishertest.Evaluate[string](b.ctx, t, "document.activeElement.textContent"); now != focused {
		t.Errorf("the focus was on %s and is on %s", focused, now)
	}
	stop()
	b.until("window.same && document.getElementById('connection').hidden")
	h.serve.Stop()
	b.until("!document.getElementById('connection').hidden")
}

// TestActionsInABrowser signs in and does what an operator does: with the keyboard where a form is sent, on 10,000 rejections.
func TestActionsInABrowser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "keys")
	token := testcluster.NewKey(t, file, "jo", "operator,clients:write")
	h := newHarness(t, "--data-dir", filepath.Join(dir, "data"), "--keys-file", file)
	h.token = token
	ctx, _ := publishertest.Browse(t)
	errors := publishertest.BrowserErrors(ctx, t)
	b := h.open(ctx, axe(t))
	b.look(1280, "light")
	b.goTo("/")
	b.shows("API key or access token")
	b.accessible("sign-in")
	if focus := publishertest.Evaluate[string](ctx, t, "document.activeElement.id"); focus != "token" {
		t.Errorf("the focus is on %q", focus)
	}
	b.enter("#token", token)
	b.opens(b.press, "#token")
	b.shows("Sign out")

	// Pause and resume the workers.
	b.press("#pause summary")
	b.enter("#pause-reason", "a new disk")
	b.opens(b.press, "#pause-reason")
	b.shows("The workers are paused until")
	b.shows("by jo: a new disk")
	b.accessible("paused")
	b.opens(b.press, "form[action='/workers/resume'] button")
	b.until("document.querySelector('#pause summary') !== null")

	var all []domain.Rejection
	const others, dropped = 8000, 2000
	for i := range others + dropped {
		all = append(all, rejection(t, domain.CodeInvalid, map[bool]string{true: "/dob", false: "/emailAddress"}[i < others]))
	}
	few := []domain.Rejection{rejection(t, domain.CodeUnstorable), rejection(t, domain.CodeUnstorable), rejection(t, domain.CodeUnstorable)}
	h.reject(all...)
	h.reject(few...)

	// Filter, without a new page.
	b.opens(b.click, "nav a[href='/rejections']")
	b.shows("Drop all 10,003")
	b.does("window.same = true")
	b.enter("#reason", "unstorable")
	b.press("#pointer")
	b.until("document.getElementById('total')?.textContent === '3' && location.search.includes('unstorable') && window.same")
	// Retry one, by its page.
	b.opens(b.click, "a[href='/operations?id="+few[0].ID+"']")
	b.opens(b.click, "button[value=retry-selected]")
	b.opens(b.click, "form[action='/rejections/settle'] button")
	b.shows("1 of 1 retried")
	// Retry a selection: all on the page.
	b.goTo("/rejections?reason=unstorable")
	b.click("#select-all")
	b.opens(b.click, "button[value=retry-selected]")
	b.shows("Retry 2 rejected commands?")
	b.opens(b.click, "form[action='/rejections/settle'] button")
	b.shows("2 of 2 retried")
	b.shows("Finished.")
	// Drop everything that matches, and follow the progress.
	b.goTo("/rejections?pointer=/emailAddress")
	b.opens(b.press, "button[value=drop-all]")
	b.shows("Drop 2,000 rejected commands?")
	b.opens(b.press, "form[action='/rejections/settle'] button")
	b.until("document.querySelector('progress')?.value > 0 && document.body.innerText.includes('Working')")
	b.accessible("job")
	b.does("window.same = true")
	b.shows("2,000 of 2,000 dropped")
	b.shows("Finished.")
	b.until("window.same") // the page was not loaded again
	if n := h.rejections(); n != others {
		t.Errorf("%d rejections are left, want %d", n, others)
	}

	// Look an operation up by its key, and read its record.
	operation := testcluster.Do(t, http.MethodPost, h.serve.API()+"/api/v2/clients", testcluster.Jane, "onboarding-4712", "Authorization", "Bearer "+token, "Prefer", "wait=20")
	b.goTo("/operations")
	b.enter("#caller", "jo")
	b.enter("#key", "onboarding-4712")
	b.opens(b.press, "#key")
	b.shows("succeeded")
	b.shows(operation.Object(t)["id"].(string))
	b.does("window.same = true")
	b.click("form[action='/operations/personal'] button")
	b.shows(`"lastName": "Smith"`)
	b.until("window.same")
	if stored := publishertest.Evaluate[string](ctx, t, "JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"); strings.Contains(stored, "Smith") {
		t.Errorf("the browser stores %s", stored)
	}
	b.opens(b.click, "form[action='/sign-out'] button")
	b.shows("API key or access token")
	for _, text := range errors() {
		if !strings.Contains(text, "401") { // the page to sign in
			t.Errorf("the browser reports: %s", text)
		}
	}
}

// press presses Enter in a field, which sends its form, or on a button or a link.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%q) !== null", selector))
	b.does(fmt.Sprintf("document.querySelector(%q).focus()", selector))
	b.keys(kb.Enter)
}

// keys presses keys.
func (b *tab) keys(keys string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.KeyEvent(keys)); err != nil {
		b.t.Fatal(err)
	}
}
