package systemtest

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// testPackages are the packages that only tests import.
var testPackages = regexp.MustCompile(`/(storetest|publishertest|testcluster|systemtest|faulttest|perftest)$`)

// Imports point one way: domain, then store, publisher and consumer, then cmd.
func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Deps " "}}`, "clientele/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, deps, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if testPackages.MatchString(pkg) {
			continue
		}
		for dep := range strings.FieldsSeq(deps) {
			for _, f := range forbidden(pkg) {
				if strings.HasPrefix(dep, f) {
					t.Errorf("%s must not import %s", pkg, dep)
				}
			}
		}
	}
}

// forbidden returns the prefixes of the packages that a package must not import.
func forbidden(pkg string) []string {
	switch {
	case pkg == "clientele/domain":
		return []string{"clientele/", "net/http", "github.com/nats-io/", "github.com/jackc/"}
	case strings.HasPrefix(pkg, "clientele/store"):
		return []string{"clientele/publisher", "clientele/consumer", "clientele/cmd"}
	case strings.HasPrefix(pkg, "clientele/publisher/ingress"):
		return []string{"clientele/store", "clientele/consumer", "clientele/cmd", "github.com/nats-io/"}
	case strings.HasPrefix(pkg, "clientele/publisher/example/"): // what a user copies stands alone
		return []string{"clientele/"}
	case strings.HasPrefix(pkg, "clientele/publisher"):
		return []string{"clientele/store", "clientele/consumer", "clientele/cmd"}
	case strings.HasPrefix(pkg, "clientele/consumer"):
		return []string{"clientele/store", "clientele/publisher", "clientele/cmd"}
	case pkg == "clientele/cmd/internal/cli":
		return nil
	case pkg == "clientele/cmd/internal/app":
		return []string{"clientele/cmd/internal/cli", "clientele/cmd/internal/importer", "clientele/cmd/internal/loadtest", "github.com/alecthomas/kong"}
	case pkg == "clientele/cmd/internal/backup", pkg == "clientele/cmd/internal/repair": // they read the data of all of them
		return []string{"clientele/cmd"}
	case pkg == "clientele/cmd/internal/rejected":
		return []string{"clientele/store", "clientele/consumer", "clientele/cmd"}
	case pkg == "clientele/cmd/internal/callers":
		return []string{"clientele/store", "clientele/publisher/audit", "clientele/publisher/bulk", "clientele/consumer", "clientele/cmd/internal/cli"}
	case strings.HasPrefix(pkg, "clientele/cmd/internal/console"):
		return []string{"clientele/consumer", "clientele/cmd/internal/cli", "clientele/cmd/internal/app"}
	case strings.HasPrefix(pkg, "clientele/cmd/internal/inspect"): // it looks at all of them, for cli and for app
		return []string{"clientele/cmd/internal/cli", "clientele/cmd/internal/app"}
	case pkg == "clientele/cmd/internal/importer":
		return []string{"clientele/store", "clientele/publisher", "clientele/consumer", "clientele/cmd/internal/cli", "github.com/nats-io/"}
	case pkg == "clientele/cmd/internal/loadtest", pkg == "clientele/cmd/internal/demo":
		return []string{"clientele/store", "clientele/consumer", "clientele/cmd"}
	case pkg == "clientele/cmd/internal/webhook":
		return []string{"clientele/store", "clientele/publisher", "clientele/consumer", "clientele/cmd"}
	case pkg == "clientele/cmd/internal/forward":
		return []string{"clientele/store", "clientele/consumer", "clientele/cmd/internal/cli", "clientele/cmd/internal/app"}
	case pkg == "clientele/cmd/internal/refusal":
		return []string{"clientele/"}
	case strings.HasPrefix(pkg, "clientele/cmd/internal"):
		return []string{"clientele/domain", "clientele/store", "clientele/publisher", "clientele/consumer", "clientele/cmd/internal/cli"}
	}
	return nil
}

// The files of a package do not depend on each other in a circle: you can read each after those that it uses.
func TestFilesPointOneWay(t *testing.T) {
	t.Parallel()
	// Without NeedDeps, other packages are read as they were compiled.
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports,
	}, "clientele/...")
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range pkgs {
		if testPackages.MatchString(pkg.PkgPath) {
			continue
		}
		uses := usesOfFiles(pkg)
		for len(uses) > 0 { // remove files that use none of those left
			done := slices.DeleteFunc(keys(uses), func(file string) bool {
				return slices.ContainsFunc(uses[file], func(used string) bool { _, left := uses[used]; return left })
			})
			if len(done) == 0 {
				t.Errorf("%s: these files, or some of them, depend on each other in a circle: %v", pkg.PkgPath, uses)
				break
			}
			for _, file := range done {
				delete(uses, file)
			}
		}
	}
}

// usesOfFiles returns, for each file of a package, the others that declare the functions, types, constants and variables it uses.
func usesOfFiles(pkg *packages.Package) map[string][]string {
	uses := map[string][]string{}
	fileOf := func(node interface{ Pos() token.Pos }) string {
		return filepath.Base(pkg.Fset.Position(node.Pos()).Filename)
	}
	for _, file := range pkg.Syntax {
		name := fileOf(file)
		uses[name] = nil
		for node := range ast.Preorder(file) {
			id, ok := node.(*ast.Ident)
			if !ok {
				continue
			}
			object := pkg.TypesInfo.Uses[id]
			if object == nil || object.Pkg() != pkg.Types {
				continue
			}
			_, function := object.(*types.Func)
			if used := fileOf(object); used != name && (function || object.Parent() == pkg.Types.Scope()) {
				uses[name] = append(uses[name], used)
			}
		}
		slices.Sort(uses[name])
		uses[name] = slices.Compact(uses[name])
	}
	return uses
}

func keys(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }
