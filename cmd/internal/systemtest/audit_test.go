package systemtest

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// An installation of a version without an audit stream has none, and no mark on its log: serve creates it.
func TestAnInstallationWithoutAnAuditTrail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	before := testcluster.Succeeded(t, serve.API(), operation)
	js := testcluster.JetStream(t, serve.NATSURL())
	commands, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	config := commands.CachedInfo().Config
	config.Metadata = nil
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), domain.StreamAudit); err != nil {
		t.Fatal(err)
	}
	serve.Stop()
	serve = testcluster.Clientele(t, "serve", "--data-dir", dir)
	if after := testcluster.Succeeded(t, serve.API(), operation); after != before {
		t.Errorf("afterwards %s, want %s", after, before)
	}
	if !strings.Contains(serve.Output(), "created an empty stream") || len(testcluster.Messages(t, serve.NATSURL(), domain.StreamAudit)) == 0 {
		t.Error(serve.Output())
	}
	serve.Stop()
}

// A read, a retry and an erasure that cannot be recorded do not happen; a command is accepted.
func TestWithoutAnAuditTrail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	testcluster.Succeeded(t, serve.API(), operation)
	id := operation[strings.LastIndex(operation, "/")+1:]
	client := serve.API() + "/api/v2/clients/" + id
	if r := testcluster.Get(t, client); r.Status != http.StatusOK {
		t.Fatalf("%d: %s", r.Status, r.Body)
	}
	js := testcluster.JetStream(t, serve.NATSURL())
	rejected := domain.SubjectRejected + "01a1f0de-7c5e-7000-8000-000000000000"
	if _, err := js.Publish(t.Context(), rejected, []byte(`{"id":"01a1f0de-7c5e-7000-8000-000000000000","reason":"unstorable","command":{"body":"e30="}}`)); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), domain.StreamAudit); err != nil {
		t.Fatal(err)
	}
	r := testcluster.Get(t, client)
	if r.Status != http.StatusServiceUnavailable || !strings.Contains(r.Body, "reads are recorded, and this one cannot be") || strings.Contains(r.Body, "Jane") {
		t.Errorf("a read: %d: %s", r.Status, r.Body)
	}
	testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	for _, args := range [][]string{
		{"erase", id, "--yes"},
		{"rejections", "retry", "--all", "--yes"},
		{"rejections", "drop", "--all", "--yes"},
		{"clients", "show", id, "--body"},
		{"clients", "find", "--name", "Jane", "--body"},
		{"events", "replay", "--since=1h", "--yes"},
		{"events", "tail", "--since=1h", "--json", "--no-follow"},
		{"events", "subscribe", "crm"},
		{"rejections", "show", "01a1f0de-7c5e-7000-8000-000000000000", "--body"},
		{"rejections", "export", "--all"},
		{"backup", filepath.Join(t.TempDir(), "backup")},
	} {
		status, stdout, stderr := testcluster.RunLine(t, append(args, "--data-dir", dir)...)
		if status != cli.ExitError || !strings.Contains(stderr, "stream CLIENT_AUDIT is missing: run clientele migrate") || strings.Contains(stdout, "Jane") {
			t.Errorf("%v: %d: %s%s", args, status, stdout, stderr)
		}
	}
	if n := len(testcluster.Messages(t, serve.NATSURL(), domain.StreamRejections)); n != 1 {
		t.Errorf("%d rejections", n)
	}
	publishertest.Eventually(t, "the event is published", func() bool { return len(testcluster.Events(t, serve.NATSURL())[id]) > 0 })
	if n := len(testcluster.Events(t, serve.NATSURL())[id]); n != 1 {
		t.Errorf("client %s has %d events", id, n)
	}
	serve.Stop()
}

// With an audit log that cannot be written, nothing is done, and serve does not start.
func TestTheAuditLogCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir, logs := t.TempDir(), filepath.Join(t.TempDir(), "logs")
	path := filepath.Join(logs, "audit.log")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir, "--audit-log", path)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	testcluster.Succeeded(t, serve.API(), operation)
	id := operation[strings.LastIndex(operation, "/")+1:]
	client := serve.API() + "/api/v2/clients/" + id
	if err := os.Rename(logs, logs+".gone"); err != nil {
		t.Fatal(err)
	}
	if r := testcluster.Get(t, client); r.Status != http.StatusServiceUnavailable || strings.Contains(r.Body, "Jane") {
		t.Errorf("a read: %d: %s", r.Status, r.Body)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	for _, args := range [][]string{
		{"erase", id, "--yes", "--data-dir", dir},
		{"clients", "show", id, "--body", "--data-dir", dir},
		{"rejections", "retry", "--all", "--yes", "--data-dir", dir},
		{"keys", "new", "--name=crm", "--scope=clients:read", "--keys-file", keys},
		{"import", os.DevNull, "--format=csv", "--url", serve.API()},
	} {
		status, stdout, stderr := testcluster.RunLine(t, append(args, "--audit-log", path)...)
		if status != cli.ExitError || !strings.Contains(stderr, "check the file of --audit-log") || strings.Contains(stdout, "Jane") {
			t.Errorf("%v: %d: %s%s", args, status, stdout, stderr)
		}
	}
	if _, err := os.Stat(keys); !os.IsNotExist(err) {
		t.Errorf("the keys file: %v", err)
	}
	if err := os.Rename(logs+".gone", logs); err != nil {
		t.Fatal(err)
	}
	if r := testcluster.Get(t, client); r.Status != http.StatusOK {
		t.Errorf("the client: %d: %s", r.Status, r.Body)
	}
	serve.Stop()
	again := testcluster.Clientele(t, "serve", "--data-dir", dir, "--audit-log", filepath.Join(logs, "none", "audit.log"))
	if status := again.Wait(); status != cli.ExitError || !strings.Contains(again.Output(), "check the file of --audit-log") {
		t.Errorf("%d: %s", status, again.Output())
	}
}

// The stream and the audit log have the same records, with the caller, its key, and the count of refused requests.
func TestTheAuditLogHasTheSameRecords(t *testing.T) {
	t.Parallel()
	keys, path := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "audit.log")
	token := testcluster.NewKey(t, keys, "crm", "clients:write,clients:read")
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--keys-file", keys, "--audit-log", path)
	serve.Ready()
	get := func(authorization string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, serve.API()+"/api/v2/clients/"+storedID, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization)
		answer, err := testcluster.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status
	}
	for range 50 {
		if status := get("Bearer wrong"); status != http.StatusUnauthorized {
			t.Fatal(status)
		}
	}
	if status := get("Bearer " + token); status != http.StatusNotFound {
		t.Fatal(status)
	}
	other := testcluster.NewKey(t, keys, "shop", "clients:write")
	publishertest.Eventually(t, "the new key is accepted", func() bool { return get("Bearer "+other) == http.StatusForbidden })
	serve.Stop()

	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused, forbidden, added := int64(0), false, false
	for line := range strings.Lines(string(content)) {
		var r domain.AuditRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Action == domain.AuditRefused && r.Result == "invalid_token" && r.Address == "127.0.0.1":
			refused += r.Count
		case r.Action == domain.AuditRefused && r.Result == "insufficient_scope":
			forbidden = r.Actor.Name == "shop" && len(r.Actor.KeyID) == 8
		case r.Action == domain.AuditKeyAdded:
			added = r.Actor.Kind == domain.AuditProcess && strings.HasSuffix(r.Target, " shop")
		}
	}
	if refused < 50 || !forbidden || !added {
		t.Errorf("%d refusals, forbidden %v, key added %v:\n%s", refused, forbidden, added, content)
	}
}
