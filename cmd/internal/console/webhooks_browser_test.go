//go:build browser

package console_test

import (
	"fmt"
	"net/http"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// accessibleInAllStyles checks the page on a desktop and on a phone, in light and in dark.
func (b *tab) accessibleInAllStyles(name string) {
	b.t.Helper()
	for _, style := range styles {
		b.look(style.width, style.scheme)
		b.accessible(name + "-" + style.name)
	}
	b.look(1280, "light")
}

// TestWebhooksInABrowser resolves a webhook that refuses, with the keyboard where a form is sent: it is tested, paused and resumed, and
// what was given up is redelivered.
func TestWebhooksInABrowser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := testcluster.NewReceiver(t)
	h.addWebhook(r.URL)
	ids, _ := h.refused(r, 3)
	ctx, elsewhere := publishertest.Browse(t)
	errors := publishertest.BrowserErrors(ctx, t)
	b := h.open(ctx, axe(t))
	b.look(1280, "light")
	b.goTo("/")
	b.opens(b.press, "a[href='/webhooks/crm']")
	b.shows("Given up and not redelivered: 3")
	b.accessibleInAllStyles("webhook")

	// The page shows the response, without a new page, and the focus is on it.
	b.does("window.same = true")
	b.press("form[action='/webhooks/crm/test'] button")
	b.shows("The test event was not delivered: the receiver responded with 422 Unprocessable Entity")
	b.until("window.same && document.activeElement.className === 'notice fail'")
	b.accessibleInAllStyles("webhook-test")

	b.opens(b.press, "form[action='/webhooks/crm/pause'] button")
	b.until("document.querySelector('dd strong')?.textContent === 'paused' && !document.querySelector(\"form[action='/webhooks/crm/pause']\")")
	b.accessibleInAllStyles("webhook-paused")
	b.opens(b.press, "form[action='/webhooks/crm/resume'] button")
	b.until("document.readyState === 'complete' && document.querySelector('dd strong')?.textContent === 'active'")

	r.Answers(http.StatusOK)
	b.does("window.same = true")
	b.press("button[name=event]")
	b.shows("was delivered: the receiver responded with 200 OK")
	b.shows("Given up and not redelivered: 2")
	b.until("window.same && document.activeElement.className === 'notice ok'")
	b.opens(b.click, "a[href='/webhooks/crm?failed=true']")
	b.shows("Last deliveries that failed")
	b.until("document.querySelector('table td') && ![...document.querySelectorAll('td')].some((td) => td.textContent === 'delivered')")

	b.opens(b.press, "form[action='/webhooks/crm/given-up/confirm'] button")
	b.shows("Redeliver 2 events to webhook crm?")
	b.accessibleInAllStyles("webhook-confirm")
	b.opens(b.press, "form[action='/webhooks/crm/given-up/redeliver'] button")
	b.shows("2 of 2 delivered")
	b.shows("Finished.")
	b.opens(b.click, "a[href='/webhooks/crm']")
	b.shows("Given up and not redelivered: 0")
	for _, id := range ids {
		if n := r.Accepted(id); n != 1 {
			t.Errorf("the event of %s was accepted %d times", id, n)
		}
	}
	if texts, n := errors(), elsewhere.Load(); len(texts) > 0 || n > 0 {
		t.Error(fmt.Sprint("the browser reports: ", texts, "; requests elsewhere: ", n))
	}

	// An error is shown in place of the page.
	b.does("window.same = true")
	testcluster.Webhooks(t, h.serve.NATSURL(), "rm", "crm", "--yes")
	b.press("form[action='/webhooks/crm/test'] button")
	b.shows("webhook crm does not exist")
	b.until("window.same")
}
