package cli_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
)

func secretFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// Every command with a secret in a flag accepts it in a file instead, but not both.
func TestSecretsInFiles(t *testing.T) {
	t.Parallel()
	id := domain.KeyedID("", "a", "b").String()
	commands := map[string][]string{
		"serve":   nil,
		"ingress": {"--nats-url=nats://x"}, "worker": {"--nats-url=nats://x"}, "migrate": {"--nats-url=nats://x"},
		"backup": {t.TempDir()}, "restore": {t.TempDir()},
		"clients find": {"--name=a"}, "clients show": {id}, "erase": {id}, "export": {id}, "events replay": {"--since=1h"},
		"import": {"-"}, "bench": nil, "redo": nil, "console": nil, "status": nil, "doctor": nil, "debug": nil,
	}
	file := secretFile(t, "a", 0o600)
	found := map[string]bool{}
	for path, node := range leaves(t) {
		for _, flag := range node.Flags {
			name, isFile := strings.CutSuffix(flag.Name, "-file")
			if !isFile || name != "database-url" && name != "token" {
				continue
			}
			found[path] = true
			args := slices.Concat(strings.Fields(path), commands[path], []string{"--" + name + "=a", "--" + flag.Name + "=" + file})
			status, stdout, stderr := testcluster.RunLine(t, args...)
			if status != cli.ExitUsage || !strings.Contains(stderr, "pass --"+name+" or --"+name+"-file, not both") {
				t.Errorf("%v: %d %s%s", args, status, stdout, stderr)
			}
		}
	}
	if want := slices.Sorted(maps.Keys(commands)); !slices.Equal(slices.Sorted(maps.Keys(found)), want) {
		t.Errorf("%v have a file for their secret, want %v", slices.Sorted(maps.Keys(found)), want)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	find := func(file string) (int, string) {
		status, stdout, stderr := testcluster.RunLine(t, "clients", "find", "--name=a", "--nats-url", s.NATS.URL, "--database-url-file", file)
		return status, stdout + stderr
	}
	for _, mode := range []os.FileMode{0o600, 0o444} {
		if status, output := find(secretFile(t, " "+s.Database+"\n", mode)); status != cli.ExitError || !strings.Contains(output, "no client matches") {
			t.Errorf("mode %o: %d %s", mode, status, output)
		}
	}
	for want, file := range map[string]string{
		"run chmod go-w":            secretFile(t, s.Database, 0o620),
		"other users may write":     secretFile(t, s.Database, 0o602),
		"is empty":                  secretFile(t, " \n", 0o600),
		"no such file or directory": filepath.Join(t.TempDir(), "missing"),
	} {
		if status, output := find(file); status != cli.ExitUsage || !strings.Contains(output, want) || strings.Contains(output, s.Database) {
			t.Errorf("%s: %d %s", want, status, output)
		}
	}

	keys := filepath.Join(t.TempDir(), "keys")
	token := testcluster.NewKey(t, keys, "crm", "clients:write")
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--keys-file", keys)
	clients := secretFile(t, testcluster.Jane, 0o600)
	status, stdout, stderr := testcluster.RunLine(t, "import", clients, "--format=ndjson", "--url", serve.API(), "--token-file", secretFile(t, token+"\n", 0o600))
	if status != cli.ExitOK || !strings.Contains(stdout, "accepted 1") {
		t.Errorf("import: %d %s%s", status, stdout, stderr)
	}
	serve.Stop()
}
