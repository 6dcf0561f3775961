package systemtest

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go/jetstream"
)

// TestSecuredRoles creates a client with the files of deploy: each role has its own credentials and uses TLS with certificates.
func TestSecuredRoles(t *testing.T) { //nolint:gocyclo // one client from end to end
	f := testcluster.NewSecured(t)
	keys := filepath.Join(t.TempDir(), "keys")
	writer, reader := testcluster.NewKey(t, keys, "pipeline", "clients:write"), testcluster.NewKey(t, keys, "desk", "clients:read")
	certificate, key := f.CA.Issue("api")
	ingress := testcluster.Clientele(t, "ingress", append(f.Flags("ingress", "ingress"), "--keys-file", keys, "--tls-cert", certificate, "--tls-key", key)...)
	worker := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	ingress.Ready()
	worker.Ready()
	api := strings.Replace(ingress.API(), "http:", "https:", 1)
	events := f.Subscription()

	caller, prefer := f.CA.Client(), ""
	do := func(method, path, token, body string) (int, http.Header, map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, api+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "1")
		r.Header.Set("Prefer", prefer)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := caller.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.ProtoMajor != 2 {
			t.Errorf("%s", response.Proto)
		}
		var object map[string]any
		if err := json.NewDecoder(response.Body).Decode(&object); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header, object
	}
	status, _, accepted := do(http.MethodPost, "/api/v2/clients", writer, testcluster.Jane)
	if status != http.StatusAccepted {
		t.Fatalf("%d: %v", status, accepted)
	}
	id := accepted["id"].(string)
	if keyed, err := domain.ParseID(id); err != nil || keyed.Version() != 8 {
		t.Errorf("id %s (%v): the ingress has not found the secret", id, err)
	}
	event, err := events.Next(jetstream.FetchMaxWait(20 * time.Second))
	if err != nil || event.Headers().Get("ce-subject") != id {
		t.Fatalf("%v: %v", event, err)
	}
	if err := event.DoubleAck(t.Context()); err != nil {
		t.Error(err)
	}
	if status, _, client := do(http.MethodGet, "/api/v2/clients/"+id, reader, ""); status != http.StatusOK || client["lastName"] != "Smith" {
		t.Errorf("%d: %v", status, client)
	}
	if status, header, _ := do(http.MethodGet, "/api/v2/clients/"+id, writer, ""); status != http.StatusForbidden ||
		!strings.Contains(header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="clients:read"`) {
		t.Errorf("%d: %v", status, header)
	}
	for _, token := range []string{"", "x", reader[:len(reader)-1] + "!", "clk_aaaaaaaa_b"} {
		if status, header, _ := do(http.MethodGet, "/api/v2/clients/"+id, token, ""); status != http.StatusUnauthorized ||
			(header.Get("WWW-Authenticate") == `Bearer realm="clientele"`) != (token == "") {
			t.Errorf("%q: %d: %v", token, status, header)
		}
	}

	// A retry while the command is still on the log, and the operator's commands.
	if status, _, again := do(http.MethodPost, "/api/v2/clients", writer, testcluster.Jane); status != http.StatusAccepted || again["id"] != id {
		t.Errorf("%d: %v", status, again)
	}
	if status, _, problem := do(http.MethodPost, "/api/v2/clients", writer, strings.Replace(testcluster.Jane, "Jane", "Joan", 1)); status != http.StatusUnprocessableEntity {
		t.Errorf("%d: %v", status, problem)
	}
	prefer = "wait=20"
	if status, header, client := do(http.MethodPost, "/api/v2/clients", writer, testcluster.Jane); status != http.StatusCreated || client["id"] != id {
		t.Errorf("%d %v: %v", status, header, client)
	}
	prefer = ""
	operator := f.NatsFlags("operator")
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"rejections", "ls"}, operator...)...); status != cli.ExitOK {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"clients", "find", "--name", "Smith Jane"}, f.Flags("operator", "operator")...)...); status != cli.ExitOK || !strings.Contains(stdout, id) {
		t.Errorf("find: %d: %s%s", status, stdout, stderr)
	}
	holdsAndExports(t, f, id)
	publishertest.Eventually(t, "the client is erased", func() bool {
		status, stdout, stderr := testcluster.RunLine(t, append([]string{"erase", "--yes", id}, f.Flags("operator", "operator")...)...)
		if status != cli.ExitOK && !strings.Contains(stderr, "is pending: nothing was erased") {
			t.Fatalf("%d: %s%s", status, stdout, stderr)
		}
		return status == cli.ExitOK
	})
	if status, _, _ := do(http.MethodGet, "/api/v2/clients/"+id, reader, ""); status != http.StatusNotFound {
		t.Errorf("erased: %d", status)
	}

	securedWebhook(t, f, id)

	for _, p := range []*testcluster.Process{ingress, worker} {
		if age := testcluster.Metric(t, p.Admin(), "clientele_worker_oldest_command_age_seconds"); age != 0 {
			t.Errorf("the oldest command is %v s old: %s", age, p.Output())
		}
	}

	// A key that is revoked is refused without a restart.
	readerID := strings.Split(reader, "_")[1]
	if status, stdout, stderr := testcluster.RunLine(t, "keys", "revoke", "--keys-file", keys, readerID); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	publishertest.Eventually(t, "the key is refused", func() bool {
		status, _, _ := do(http.MethodGet, "/api/v2/clients/"+id, reader, "")
		return status == http.StatusUnauthorized
	})
	for _, p := range []*testcluster.Process{ingress, worker} {
		for _, secret := range []string{testcluster.Password, writer, reader, "Smith", "ermissions", "permission denied"} {
			if strings.Contains(p.Output(), secret) {
				t.Errorf("%q in the output of a process: %s", secret, p.Output())
			}
		}
		p.Stop()
	}
	t.Run("Permissions", f.Permissions)
}

// securedWebhook delivers an event with the rights of forward to a webhook of the operator.
func securedWebhook(t *testing.T, f *testcluster.Secured, id string) {
	t.Helper()
	receiver := testcluster.NewReceiver(t)
	webhooks := func(args ...string) (status int, stdout, stderr string) {
		return testcluster.RunLine(t, append(append([]string{"webhooks"}, args...), f.NatsFlags("operator")...)...)
	}
	if status, stdout, stderr := webhooks("test", "crm"); status != cli.ExitError || !strings.Contains(stderr, "webhook crm does not exist") {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := webhooks("add", "crm", receiver.URL, "--since=1h"); status != cli.ExitOK || !strings.HasPrefix(stdout, "whsec_") {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := webhooks("test", "crm"); status != cli.ExitError || !strings.Contains(stderr, "start clientele serve or clientele forward") {
		t.Errorf("without a forwarder: %d: %s%s", status, stdout, stderr)
	}
	forward := testcluster.Clientele(t, "forward", f.NatsFlags("forward")...)
	forward.Ready()
	publishertest.Eventually(t, "the event is delivered", func() bool { return receiver.Has(id) })
	if request, _ := receiver.Last(); request.Header.Get("Ce-Type") != domain.SubjectErased {
		t.Errorf("%v", request.Header)
	}
	publishertest.Eventually(t, "the delivery is recorded", func() bool {
		_, stdout, _ := webhooks("deliveries", "crm")
		_, ls, _ := webhooks("ls", "--json")
		return strings.Contains(stdout, id) && strings.Contains(ls, "lastSuccess")
	})
	if status, stdout, stderr := webhooks("test", "crm"); status != cli.ExitOK || !strings.HasPrefix(stdout, "200 OK after") {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := webhooks("redeliver", "crm", "--since=1h", "--yes"); status != cli.ExitOK || !strings.HasPrefix(stdout, "events delivered: ") {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := webhooks("rm", "crm", "--yes"); status != cli.ExitOK {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
	forward.Stop()
	if strings.Contains(forward.Output(), "ermission") || strings.Contains(forward.Output(), "cannot record") {
		t.Errorf("the forwarder lacks a right: %s", forward.Output())
	}
}

// holdsAndExports holds a client, which refuses an erasure, lifts the hold, and exports the client, with the rights of the operator.
func holdsAndExports(t *testing.T, f *testcluster.Secured, id string) {
	t.Helper()
	held := func(day string) {
		t.Helper()
		args := append([]string{"erase", id, "--legal-hold", day, "--reason=case 12"}, f.Flags("operator", "operator")...)
		if status, stdout, stderr := testcluster.RunLine(t, args...); status != cli.ExitOK {
			t.Errorf("hold: %d: %s%s", status, stdout, stderr)
		}
	}
	held("2999-12-31")
	publishertest.Eventually(t, "the erasure is refused", func() bool {
		status, _, stderr := testcluster.RunLine(t, append([]string{"erase", "--yes", id}, f.Flags("operator", "operator")...)...)
		return status == cli.ExitError && strings.Contains(stderr, "is under legal hold up to 2999-12-31: nothing was erased")
	})
	held("none")
	for what, want := range map[string]string{"export " + id: `"lastName": "Smith"`, "erase --reapply --yes": "erasures on record: 0"} {
		status, stdout, stderr := testcluster.RunLine(t, append(strings.Fields(what), f.Flags("operator", "operator")...)...)
		if status != cli.ExitOK || !strings.Contains(stdout, want) {
			t.Errorf("%s: %d: %s%s", what, status, stdout, stderr)
		}
	}
}
