//go:build node

package systemtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/ingress/site"
)

const example = "../../../publisher/example"

// npmPackages copies a directory and installs the packages that it requires. It returns the copy.
func npmPackages(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=5")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v: %s", err, out)
	}
	return dir
}

// The files that npm and the examples write are not committed.
func TestNodeLeftoversAreIgnored(t *testing.T) {
	t.Parallel()
	leftovers := []string{example + "/node_modules/x", example + "/welcomed.txt", example + "/received.txt", "testdata/node/node_modules/x"}
	out, err := exec.Command("git", append([]string{"check-ignore"}, leftovers...)...).CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != len(leftovers) {
		t.Errorf("%v: git ignores only %s", err, out)
	}
}

// TestNode checks the contracts with a linter and with the parser of AsyncAPI, the API with a caller in TypeScript, and the events with a
// subscriber in JavaScript.
func TestNode(t *testing.T) {
	t.Parallel()
	t.Run("contracts", func(t *testing.T) {
		t.Parallel()
		dir := npmPackages(t, "testdata/node")
		for name, contract := range map[string][]byte{"openapi.yaml": site.OpenAPI, "asyncapi.yaml": site.AsyncAPI} {
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
			{"node", "asyncapi.mjs"},
			{"node_modules/.bin/openapi-typescript", "openapi.yaml", "--output", "api.ts"},
			{"node_modules/.bin/tsc", "--strict", "--rewriteRelativeImportExtensions", "--module", "nodenext", "--target", "es2022", "client.ts"},
		} {
			command := exec.Command(args[0], args[1:]...)
			command.Dir = dir
			if out, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", args, err, out)
			}
		}
		generatedCaller(t, dir, "node", "client.js")
	})
	t.Run("subscriber", func(t *testing.T) {
		t.Parallel()
		dir := npmPackages(t, example)
		welcomesOnce(t, "welcomer", func(natsURL, welcomed string) *testcluster.Process {
			return testcluster.StartWith(t, []string{"NATS_URL=" + natsURL, "WELCOMED=" + welcomed}, "node", filepath.Join(dir, "subscriber.mjs"))
		})
		script, err := os.ReadFile(filepath.Join(dir, "subscriber.mjs"))
		if err != nil {
			t.Fatal(err)
		}
		readme, err := os.ReadFile("../../../README.md")
		if _, loop, found := strings.Cut(string(script), "const consumer ="); err != nil || !found || !strings.Contains(string(readme), loop) {
			t.Errorf("README has another subscriber (%v)", err)
		}
	})
}
