// Package testcluster starts real servers and processes for tests: nats-server, PostgreSQL, Clientele, proxies between them, and
// a terminal.
package testcluster

import (
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"clientele/store/storetest"
)

// buildFlags build the program with the race detector in make race.
var buildFlags []string

// Programs is the directory of the programs that tests build.
var Programs string

// Main runs the tests of a package that uses this one, and returns its exit status.
func Main(m *testing.M) int {
	// The server closes a connection that is idle for 5 s: do not reuse one that it is about to close.
	http.DefaultTransport.(*http.Transport).IdleConnTimeout = 4 * time.Second
	// No serve has a console unless a test asks for one: they would all listen on one port. Older programs ignore the variable.
	environment := map[string]string{"CLIENTELE_CONSOLE_LISTEN": ""}
	for _, role := range []string{"INGRESS", "WORKER", "OPERATOR", "MAILER", "FORWARD"} { // of deploy/nats/accounts.conf
		environment["NATS_"+role+"_PASSWORD"] = Password
	}
	for name, value := range environment {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	var err error
	if Programs, err = os.MkdirTemp("", "clientele-test-"); err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(Programs) }()
	// Tests wait for processes more than they compute, so more of them than processors run at once. The command line is read
	// later and overrides this.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	return storetest.Main(m)
}

// Program builds a program once, and returns its path.
func Program(t testing.TB, name string) string {
	t.Helper()
	if err := builds[name](); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(Programs, name)
}

var builds = map[string]func() error{
	"clientele":   sync.OnceValue(func() error { return GoBuild("clientele", "clientele/cmd/clientele", buildFlags...) }),
	"nats-server": sync.OnceValue(func() error { return GoBuild("nats-server", "github.com/nats-io/nats-server/v2") }),
	"subscriber":  sync.OnceValue(func() error { return GoBuild("subscriber", "clientele/publisher/example/subscriber") }),
	"webhook":     sync.OnceValue(func() error { return GoBuild("webhook", "clientele/publisher/example/webhook") }),
}

// GoBuild builds a package into Programs under the name.
func GoBuild(name, pkg string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", filepath.Join(Programs, name)}, flags...), pkg)...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// Patience is the time that a test waits for a message.
const Patience = 15 * time.Second
