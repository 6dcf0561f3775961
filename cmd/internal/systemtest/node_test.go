//go:build node

package systemtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/ingress"
	"clientele/publisher/publishertest"
)

// npmPackages installs what testdata/node names into a directory that is returned.
func npmPackages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v: %s", err, out)
	}
	return dir
}

// What the example leaves behind is not committed.
func TestNodeLeftoversAreIgnored(t *testing.T) {
	t.Parallel()
	leftovers := []string{"testdata/node/node_modules/x", "testdata/node/welcomed.txt"}
	out, err := exec.Command("git", append([]string{"check-ignore"}, leftovers...)...).CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != len(leftovers) {
		t.Errorf("%v: git ignores only %s", err, out)
	}
}

// TestNode has the contracts read by a linter and by a generator of TypeScript, and the events by a subscriber that is not in Go.
func TestNode(t *testing.T) {
	t.Parallel()
	dir := npmPackages(t)
	t.Run("contracts", func(t *testing.T) {
		t.Parallel()
		for name, contract := range map[string][]byte{"openapi.yaml": ingress.OpenAPI, "asyncapi.yaml": ingress.AsyncAPI} {
			if err := os.WriteFile(filepath.Join(dir, name), contract, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		lint := exec.Command("node_modules/.bin/redocly", "lint", "--max-problems=100", "openapi.yaml", "asyncapi.yaml")
		lint.Dir = dir
		lint.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "CI=true")
		out, err := lint.CombinedOutput()
		if err != nil || strings.Contains(string(out), "You have") || !strings.Contains(string(out), "asyncapi.yaml: validated") {
			t.Errorf("%v: %s", err, out)
		}
		for _, args := range [][]string{
			{"openapi-typescript", "openapi.yaml", "--output", "api.ts"},
			{"tsc", "--noEmit", "--strict", "--allowImportingTsExtensions", "--module", "nodenext", "client.ts"},
		} {
			generate := exec.Command("node_modules/.bin/"+args[0], args[1:]...)
			generate.Dir = dir
			if out, err := generate.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", args, err, out)
			}
		}
	})
	t.Run("subscriber", func(t *testing.T) {
		t.Parallel()
		serveDir := t.TempDir()
		serve := testcluster.Clientele(t, "serve", "--data-dir", serveDir)
		api, natsURL := serve.API(), serve.Says(testcluster.NATSListens)
		welcomed := filepath.Join(t.TempDir(), "welcomed.txt")
		subscriber := func() *testcluster.Process {
			t.Helper()
			return testcluster.StartWith(t, []string{"NATS_URL=" + natsURL, "WELCOMED=" + welcomed}, "node", filepath.Join(dir, "subscriber.mjs"))
		}
		lines := func() int {
			t.Helper()
			content, err := os.ReadFile(welcomed)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			return strings.Count(string(content), " welcome, Jane\n")
		}
		first := subscriber()
		for range 2 {
			testcluster.Succeeded(t, api, testcluster.Accepted(t, api, testcluster.Jane, ""))
		}
		publishertest.Eventually(t, "two are welcomed", func() bool { return lines() == 2 })
		first.Says(`waiting for client\.created; \S+ holds the 0 events that are done\nwelcomed client [0-9a-f-]{36}\nwelcomed client [0-9a-f-]{36}\n`)
		if strings.Contains(first.Output(), "Jane") {
			t.Errorf("a client in %s", first.Output())
		}
		first.Kill()
		testcluster.Succeeded(t, api, testcluster.Accepted(t, api, testcluster.Jane, ""))
		if status, stdout, stderr := testcluster.RunLine(t, "events", "replay", "--since=1h", "--yes", "--nats-url", natsURL, "--data-dir", serveDir); status != cli.ExitOK {
			t.Fatalf("%d: %s%s", status, stdout, stderr)
		}
		subscriber()
		js := testcluster.JetStream(t, natsURL)
		publishertest.Eventually(t, "all events are done", func() bool {
			consumer, err := js.Consumer(t.Context(), domain.StreamEvents, "welcomer")
			if err != nil {
				t.Fatal(err)
			}
			info := consumer.CachedInfo()
			return info.NumPending == 0 && info.NumAckPending == 0 && info.AckFloor.Consumer >= 6
		})
		script, err := os.ReadFile(filepath.Join(dir, "subscriber.mjs"))
		if err != nil {
			t.Fatal(err)
		}
		readme, err := os.ReadFile("../../../README.md")
		if _, loop, found := strings.Cut(string(script), "const consumer ="); err != nil || !found || !strings.Contains(string(readme), loop) {
			t.Errorf("README has another subscriber (%v)", err)
		}
		if n := lines(); n != 3 {
			t.Errorf("%d are welcomed, want 3", n)
		}
		serve.Stop()
	})
}
