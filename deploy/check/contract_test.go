package check

import (
	"os/exec"
	"path/filepath"
	"testing"

	// What the generated code imports.
	_ "github.com/labstack/echo/v4"
	_ "github.com/oapi-codegen/runtime"
	_ "github.com/oapi-codegen/runtime/types"
)

// TestGeneratedGoCompiles checks that oapi-codegen, run with its defaults, turns the contract into Go that compiles.
func TestGeneratedGoCompiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "api.go")
	for _, args := range [][]string{
		{"tool", "oapi-codegen", "-package", "api", "-o", file, "../../publisher/ingress/site/openapi.yaml"},
		{"vet", file},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v: %s", args, err, out)
		}
	}
}
