package console_test

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// A console runs apart from serve, beside it or after a restart of it.
func TestConsoleOfAServe(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), testcluster.FreeAddress(t)
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir, "--nats-listen", address)
	serve.Ready()
	console := testcluster.Clientele(t, "console", "--data-dir", dir, "--listen=127.0.0.1:0")
	h := &harness{t: t, serve: serve, url: console.Console(), http: &http.Client{}}
	console.Says(`The console is on (http://127\.0\.0\.1:\d+)\.`)
	id := h.created("")
	publishertest.Eventually(t, "the event", func() bool { return regexpMatch(h.get("/", http.StatusOK), id) })
	publishertest.Eventually(t, "the figures of serve", func() bool { return regexpMatch(h.get("/", http.StatusOK), `<th scope="row">201</th>`) })
	contains(t, h.get("/", http.StatusOK), "SQLite")
	contains(t, h.get("/operations?id="+id, http.StatusOK), "<strong>succeeded</strong>")

	serve.Stop()
	publishertest.Eventually(t, "NATS is unavailable", func() bool { return regexpMatch(h.get("/", http.StatusOK), "NATS cannot be read") })
	if r := h.do(http.MethodGet, "/rejections", ""); r.Status != http.StatusServiceUnavailable {
		t.Errorf("without NATS: %d", r.Status)
	}
	testcluster.Clientele(t, "serve", "--data-dir", dir, "--nats-listen", address).Ready()
	publishertest.Eventually(t, "NATS is available", func() bool { return regexpMatch(h.get("/", http.StatusOK), "Clientele works") })
	console.Stop()
}

// A console for separate servers has the rights of an operator, and needs no others.
func TestConsoleOfSeparateServers(t *testing.T) {
	f := testcluster.NewSecured(t)
	ingress := testcluster.Clientele(t, "ingress", f.Flags("ingress", "ingress")...)
	testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...).Ready()
	ingress.Ready()
	keys := filepath.Join(t.TempDir(), "keys")
	token := testcluster.NewKey(t, keys, "jo", "operator")
	certificate, key := f.CA.Issue("console", "127.0.0.1")
	console := testcluster.Clientele(t, "console", append(f.Flags("operator", "operator"), "--listen=127.0.0.1:0",
		"--keys-file", keys, "--tls-cert", certificate, "--tls-key", key)...)
	url := "https" + console.Console()[len("http"):]
	client := f.CA.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h := &harness{t: t, serve: ingress, url: url, http: client, token: token}
	cookie := h.signIn(token)
	if !cookie.Secure || cookie.Name != "__Host-clientele-console" {
		t.Errorf("%+v", cookie)
	}
	id := h.created("")
	publishertest.Eventually(t, "the event", func() bool { return regexpMatch(h.get("/", http.StatusOK), id) })
	publishertest.Eventually(t, "the figures of both processes", func() bool {
		page := h.get("/", http.StatusOK)
		return regexpMatch(page, `<th scope="row">201</th>`) && regexpMatch(page, `batch in the database</th><td class="number">[0-9.]+ ms</td>`)
	})
	if page := h.get("/", http.StatusOK); regexpMatch(page, "cannot be read|no answer within") {
		t.Error(page)
	}
	contains(t, h.get("/operations?id="+id, http.StatusOK), "<strong>succeeded</strong>", "client.created, sequence")
	contains(t, h.post("/operations/personal", map[string][]string{"id": {id}}).Body, "Smith")

	nc := f.Connect("operator")
	if _, err := nc.Request(domain.SubjectCreate+"nonsense", []byte("{}"), testcluster.Patience); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the rejection", func() bool { return regexpMatch(h.get("/rejections", http.StatusOK), `<strong id="total">1</strong>`) })
	contains(t, h.settled(map[string][]string{"do": {"retry-all"}}), "1 of 1 retried")
	publishertest.Eventually(t, "it is rejected again", func() bool {
		return regexpMatch(h.get("/rejections?reason=undecodable", http.StatusOK), `<td class="number">1</td></tr>`)
	})
	contains(t, h.settled(map[string][]string{"do": {"drop-all"}}), "1 of 1 dropped")

	// The page about a webhook, and its actions, need no other rights.
	receiver := testcluster.NewReceiver(t)
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"webhooks", "add", "crm", receiver.URL}, f.NatsFlags("operator")...)...); status != 0 {
		t.Fatal(stdout, stderr)
	}
	testcluster.Clientele(t, "forward", f.NatsFlags("forward")...).Says("delivering events") // then it also answers requests
	contains(t, h.get("/webhooks/crm", http.StatusOK), "<strong>active</strong>")
	for _, action := range []string{"pause", "resume"} {
		h.leads("/webhooks/crm/"+action, "/webhooks/crm")
	}
	contains(t, h.post("/webhooks/crm/test", nil).Body, "responded with 200 OK")
	contains(t, h.post("/webhooks/crm/redeliver", map[string][]string{"event": {"1"}}).Body, "Event 1 was delivered")
	if !receiver.Has(id) {
		t.Error("the event was not delivered")
	}
	console.Stop()
}

// serve runs without a console while another program uses the default address, but not if the address was asked for.
func TestTheAddressIsInUse(t *testing.T) {
	t.Parallel()
	const standard = "127.0.0.1:8082"
	if other, err := net.Listen("tcp", standard); err == nil { // or else another program uses it
		t.Cleanup(func() { _ = other.Close() })
	}
	dir := t.TempDir()
	serve := testcluster.Start(t, "/usr/bin/env", "-u", "CLIENTELE_CONSOLE_LISTEN", testcluster.Program(t, "clientele"), "serve", "--log-format=json",
		"--data-dir", dir, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--nats-listen=127.0.0.1:0")
	serve.Ready()
	serve.Says("another program uses the address of the console: running without it")
	// The command beside it says that serve may have the console there.
	beside := testcluster.Start(t, testcluster.Program(t, "clientele"), "console", "--data-dir", dir)
	if status := beside.Wait(); status == 0 {
		t.Errorf("exit status %d", status)
	}
	beside.Says(`clientele: 127.0.0.1:8082 is in use: if clientele serve runs, its console is at http://127.0.0.1:8082; otherwise choose another address with --listen`)
	serve.Stop()
	asked := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--console-listen", standard)
	if status := asked.Wait(); status == 0 {
		t.Errorf("exit status %d", status)
	}
	asked.Says(`--console-listen: 127.0.0.1:8082 is in use by another program`)
}
