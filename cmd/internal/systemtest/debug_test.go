package systemtest

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go/jetstream"
)

// unzip returns the files of an archive.
func unzip(t *testing.T, path string) map[string]string {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(f.Name, "clientele-debug/")] = string(content)
	}
	return files
}

// TestDebugHasNoPersonalDataAndNoSecrets greps the bundle of an installation that has marked clients in every stream, and whose flags
// and environment variables have secrets.
func TestDebugHasNoPersonalDataAndNoSecrets(t *testing.T) {
	f := testcluster.NewSecured(t)
	keys := filepath.Join(t.TempDir(), "keys")
	token := testcluster.NewKey(t, keys, "pipeline", "clients:write,clients:read")
	ingress := testcluster.Clientele(t, "ingress", append(f.Flags("ingress", "ingress"), "--keys-file", keys)...)
	worker := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	ingress.Ready()
	worker.Ready()
	f.Subscription()
	js, err := jetstream.New(f.Connect("operator"))
	if err != nil {
		t.Fatal(err)
	}
	marked := fmt.Sprintf(testcluster.MarkedClient, "Zqmark")
	f.SQL(`ALTER TABLE clients ADD CONSTRAINT poison CHECK (last_name <> 'Zqpoison')`)
	for _, body := range []string{marked, strings.Replace(marked, `"lastName": "Zqmark"`, `"lastName": "Zqpoison"`, 1)} {
		r := testcluster.Do(t, "POST", ingress.API()+"/api/v2/clients", body, "zqmark", "Authorization", "Bearer "+token)
		if r.Status != 202 && r.Status != 422 {
			t.Fatalf("%d: %s", r.Status, r.Body)
		}
	}
	r := testcluster.Do(t, "POST", ingress.API()+"/api/v2/clients", strings.Replace(marked, "Zqmark", "Zqmark2", 1), "", "Authorization", "Bearer "+token)
	if r.Status != 202 {
		t.Fatalf("%d: %s", r.Status, r.Body)
	}
	publishertest.Eventually(t, "the clients are stored", func() bool {
		_, s, _ := statusOf(t, f.Flags("operator", "operator"))
		return s.Commands.Completed >= 2 && s.Commands.Backlog == 0
	})
	log, err := js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	secret := streams.SecretOf(log.CachedInfo().Config)
	if secret == "" {
		t.Fatal("the log has no secret")
	}

	t.Setenv("CLIENTELE_TOKEN", token)
	t.Setenv("CLIENTELE_CLIENT_EMAIL", "zqmark@example.com")
	t.Setenv("CLIENTELE_DATABASE_URL", f.DatabaseURL("operator"))
	t.Setenv("CLIENTELE_RATE_LIMIT", "100")
	t.Setenv("CLIENTELE_OPERATOR", "zqmark")
	t.Setenv("CLIENTELE_URL", "https://zqmark:zqmark@api.example.com/zqmark?token=zqmark")
	path := filepath.Join(t.TempDir(), "debug.zip")
	args := append([]string{"debug", "--output", path, "--keys-file", keys, "--url", ingress.API(), "--admin", ingress.Admin(), "--admin", strings.Replace(worker.Admin(), "://", "://zqmark:zqsecret@", 1)}, f.NatsFlags("operator")...)
	status, stdout, stderr := testcluster.RunLine(t, append(args, monitor(f.NATS)...)...)
	if status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	files := unzip(t, path)
	for name, want := range map[string]string{
		"README.txt": "no client data", "report.txt": "Throughput   accepted 0/s", "status.json": `"accepted":`, "doctor.json": `"NATS sync"`,
		"versions.json": `"PostgreSQL`, "settings.json": `"CLIENTELE_RATE_LIMIT": "100"`, "servers.json": `"sync_always": true`,
		"streams.json": `"max_msgs_per_subject": 1`, "admin-1/readyz.json": "ready", "admin-1/metrics.txt": "clientele_", "admin-2/metrics.txt": "clientele_worker_",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %s: %s", name, want, files[name])
		}
	}
	if !strings.Contains(files["settings.json"], `"CLIENTELE_DATABASE_URL": "postgres://127.0.0.1`) || !strings.Contains(files["settings.json"], `"CLIENTELE_TOKEN": "(set)"`) {
		t.Errorf("settings: %s", files["settings.json"])
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	forbidden := regexp.MustCompile(`(?i)zq(?:mark|poison|secret)|zq1.?2ab|jx.?987651|19?61-03-07|987654321|` + regexp.QuoteMeta(testcluster.Password) + `|clk_|` + regexp.QuoteMeta(token) + `|` +
		regexp.QuoteMeta(secret) + `|` + regexp.QuoteMeta(home+"/") + `|PRIVATE KEY`)
	for name, content := range files {
		if found := forbidden.FindString(content); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
}
