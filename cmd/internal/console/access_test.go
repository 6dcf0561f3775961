package console_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// signIn signs in and returns the cookie.
func (h *harness) signIn(token string) *http.Cookie {
	h.t.Helper()
	r := h.post("/sign-in", url.Values{"token": {" " + token + "\n"}})
	cookies := (&http.Response{Header: r.Header}).Cookies()
	if r.Status != http.StatusSeeOther || len(cookies) != 1 {
		h.t.Fatalf("%d: %v %s", r.Status, cookies, r.Body)
	}
	return cookies[0]
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	operator, viewer := testcluster.NewKey(t, file, "jo", "operator"), testcluster.NewKey(t, file, "vi", "operator:read")
	caller := testcluster.NewKey(t, file, "crm", "clients:read,clients:write")
	h := newHarness(t, "--keys-file", file)
	r := rejection(t, domain.CodeInvalid)
	h.reject(r)

	for _, path := range []string{"/", "/live", "/rejections", "/operations?id=" + r.ID, "/jobs/x", "/webhooks/x", "/runbooks/x"} {
		contains(t, h.get(path, http.StatusUnauthorized), `name="token" type="password"`)
	}
	for token, status := range map[string]int{"": http.StatusUnauthorized, "clk_a_b": http.StatusUnauthorized, caller: http.StatusForbidden} {
		if r := h.post("/sign-in", url.Values{"token": {token}}); r.Status != status || r.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %d", token, r.Status)
		}
	}
	cookie := h.signIn(operator)
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.MaxAge != 12*60*60 || strings.Contains(cookie.Value, operator) {
		t.Errorf("%+v", cookie)
	}
	with := []string{"Cookie", cookie.Name + "=" + cookie.Value}
	page := h.do(http.MethodGet, "/rejections", "", with...)
	contains(t, page.Body, "jo", "Sign out", "Drop all 1")
	asked := h.post("/rejections/confirm", url.Values{"do": {"drop-selected"}, "id": {r.ID}}, with...)
	if asked.Status != http.StatusOK {
		t.Errorf("%d: %s", asked.Status, asked.Body)
	}

	// A viewer sees no buttons, and the server refuses what they do.
	h.token = viewer
	for _, path := range []string{"/", "/rejections", "/operations?id=" + r.ID} {
		page := h.get(path, http.StatusOK)
		if contains(t, page, "vi", "(view only)"); regexp.MustCompile(`Drop|Retry|Show personal|type="checkbox"|Sign out`).MatchString(page) {
			t.Errorf("%s has buttons: %s", path, page)
		}
	}
	for _, path := range []string{"/rejections/confirm", "/rejections/settle", "/operations/personal", "/jobs/x/stop"} {
		if r := h.post(path, hidden(t, asked.Body, "/rejections/settle")); r.Status != http.StatusForbidden {
			t.Errorf("%s: %d", path, r.Status)
		}
	}
	h.token = caller
	h.get("/", http.StatusForbidden)
	h.token = ""

	// What the operator does is recorded with the name and the key.
	settled := h.post("/rejections/settle", hidden(t, asked.Body, "/rejections/settle"), with...)
	publishertest.Eventually(t, "the record", func() bool { return len(h.records(domain.AuditRejectionDrop)) == 2 })
	keyID := strings.Split(operator, "_")[1]
	if record := h.records(domain.AuditRejectionDrop)[0]; settled.Status != http.StatusSeeOther || record.Actor.Name != "jo" || record.Actor.KeyID != keyID {
		t.Errorf("%d: %+v", settled.Status, record)
	}
	publishertest.Eventually(t, "the refusals", func() bool {
		var reasons []string
		for _, record := range h.records(domain.AuditRefused) {
			reasons = append(reasons, string(record.Result)+" "+record.Actor.Name)
		}
		return slices.Contains(reasons, "invalid_token ") && slices.Contains(reasons, "insufficient_scope vi") && slices.Contains(reasons, "insufficient_scope crm")
	})

	// Signing out ends the session, not only its cookie.
	second := h.signIn(operator)
	withSecond := []string{"Cookie", second.Name + "=" + second.Value}
	if out := h.post("/sign-out", nil, withSecond...); out.Status != http.StatusSeeOther || !strings.Contains(out.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("%d: %v", out.Status, out.Header)
	}
	if r := h.do(http.MethodGet, "/", "", withSecond...); r.Status != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", r.Status)
	}

	// A key that loses its scope ends the live figures.
	h.token = viewer
	looked := h.live()
	keys, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(keys, []byte(" operator:read "), []byte(" clients:write ")), 0o600); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the key is refused", func() bool { return h.do(http.MethodGet, "/", "").Status == http.StatusForbidden })
	publishertest.Eventually(t, "the end of the live figures", func() bool { name, _ := looked.next(); return name == "" })

	// A revoked key ends the session, and the live figures.
	h.token = operator
	live := h.live()
	h.token = ""
	if status, stdout, stderr := testcluster.RunLine(t, "keys", "revoke", keyID, "--keys-file", file); status != cli.ExitOK {
		t.Fatal(stdout, stderr)
	}
	publishertest.Eventually(t, "the key is refused", func() bool {
		return h.do(http.MethodGet, "/", "", with...).Status == http.StatusUnauthorized
	})
	publishertest.Eventually(t, "the end of the live figures", func() bool { name, _ := live.next(); return name == "" })
}

// A web page of another site reaches the console through the browser of an operator. It can neither read nor do anything.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.reject(rejection(t, domain.CodeInvalid))
	if r := h.do(http.MethodGet, "/", "", "Host", "attacker.example:8082"); r.Status != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d %s", r.Status, r.Body)
	}
	for mode, status := range map[string]int{"no-cors": http.StatusForbidden, "cors": http.StatusForbidden, "navigate": http.StatusOK} {
		for _, site := range []string{"cross-site", "same-site"} {
			if r := h.do(http.MethodGet, "/rejections", "", "Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode); r.Status != status {
				t.Errorf("%s %s: %d", site, mode, r.Status)
			}
		}
	}
	asked := h.post("/rejections/confirm", url.Values{"do": {"drop-all"}})
	form := hidden(t, asked.Body, "/rejections/settle")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://attacker.example"}, {"Host", "attacker.example"},
	} {
		if r := h.post("/rejections/settle", form, headers...); r.Status != http.StatusForbidden && r.Status != http.StatusMisdirectedRequest {
			t.Errorf("%v: %d", headers, r.Status)
		}
	}
	if n := h.rejections(); n != 1 {
		t.Errorf("%d rejections are left", n)
	}
	if r := h.post("/rejections/settle", form, "Sec-Fetch-Site", "same-origin"); r.Status != http.StatusSeeOther {
		t.Errorf("its own page: %d", r.Status)
	}
	if r := h.post("/rejections/confirm", url.Values{"do": {strings.Repeat("a", 70<<10)}}); r.Status != http.StatusBadRequest {
		t.Errorf("a form that is too large: %d", r.Status)
	}
}
