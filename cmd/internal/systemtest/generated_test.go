//go:build contracts

package systemtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"clientele/publisher/ingress/site"
)

// oapiCodegen generates Go from an OpenAPI description. It is run at this version without being a dependency of the module.
const oapiCodegen = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"

// TestGeneratedGo generates Go from openapi.yaml: the types, a client and a server compile, and testdata/caller uses the client.
func TestGeneratedGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/caller")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.yaml"), site.OpenAPI, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"run", oapiCodegen, "-package", "api", "-generate", "types,client", "-o", "api/api.go", "openapi.yaml"},
		{"run", oapiCodegen, "-package", "server", "-generate", "types,std-http-server,strict-server", "-o", "server/server.go", "openapi.yaml"},
		{"vet", "./..."},
		{"build", "-o", "caller", "."},
	} {
		command := exec.CommandContext(t.Context(), "go", args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod -modcacherw", "GOWORK=off")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v: %s", args, err, out)
		}
	}
	generatedCaller(t, dir, "./caller")
}
