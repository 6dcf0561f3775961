package systemtest

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
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
	case pkg == "clientele/publisher/ingress":
		return []string{"clientele/store", "clientele/consumer", "clientele/cmd", "github.com/nats-io/"}
	case strings.HasPrefix(pkg, "clientele/publisher"):
		return []string{"clientele/store", "clientele/consumer", "clientele/cmd"}
	case pkg == "clientele/consumer":
		return []string{"clientele/store", "clientele/publisher", "clientele/cmd"}
	case pkg == "clientele/cmd/internal/cli":
		return nil
	case pkg == "clientele/cmd/internal/backup": // copies what all of them keep
		return []string{"clientele/cmd"}
	case pkg == "clientele/cmd/internal/importer":
		return []string{"clientele/store", "clientele/publisher", "clientele/consumer", "clientele/cmd/internal/cli", "github.com/nats-io/"}
	case pkg == "clientele/cmd/internal/loadtest":
		return []string{"clientele/store", "clientele/publisher", "clientele/consumer", "clientele/cmd"}
	case strings.HasPrefix(pkg, "clientele/cmd/internal"):
		return []string{"clientele/domain", "clientele/store", "clientele/publisher", "clientele/consumer", "clientele/cmd/internal/cli"}
	}
	return nil
}
