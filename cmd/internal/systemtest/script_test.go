package systemtest

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"

	"github.com/nats-io/nats.go"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts in testdata/script, which use each command as a user would.
func TestScripts(t *testing.T) {
	t.Parallel()
	path := filepath.Dir(testcluster.Program(t, "clientele")) + string(filepath.ListSeparator) + os.Getenv("PATH")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", path)
			e.Setenv("CLIENTELE_CONSOLE_LISTEN", "") // the scripts would all use one port
			for _, name := range []string{"API", "ADMIN", "NATS", "CONSOLE"} {
				e.Setenv(name, testcluster.FreeAddress(t))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"answers":    scriptAnswers,
			"eventually": scriptEventually,
			"get":        scriptGet,
			"keep":       scriptKeep,
			"publish":    scriptPublish,
		},
	})
}

// until runs f until it returns true.
func until(ts *testscript.TestScript, what string, f func() bool) {
	deadline, again := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for !f() {
		select {
		case <-deadline:
			ts.Fatalf("%s: not within a minute", what)
		case <-again.C:
		}
	}
}

// scriptAnswers waits until a URL answers 200: answers http://$ADMIN/readyz.
func scriptAnswers(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[0], func() bool {
		response, err := http.Get(args[0])
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// scriptEventually runs a program until it succeeds and its output matches: eventually REGEXP clientele ….
func scriptEventually(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	until(ts, args[0], func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && want.MatchString(ts.ReadFile("stdout"))
	})
}

// scriptGet reads a URL, which must answer 200, with the key in a file: [!] get URL [FILE].
func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	r, err := http.NewRequest(http.MethodGet, args[0], http.NoBody)
	ts.Check(err)
	if len(args) > 1 {
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[1])))
	}
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	if (response.StatusCode == http.StatusOK) == neg {
		ts.Fatalf("%s: %s", args[0], response.Status)
	}
}

// scriptKeep stores the submatch of a regular expression in the last output as a variable: keep ID '([0-9a-f-]{36})'.
func scriptKeep(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("the output has no %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// scriptPublish publishes a message to the NATS of the serve process that runs in clientele-data: publish SUBJECT BODY.
func scriptPublish(ts *testscript.TestScript, _ bool, args []string) {
	nc, err := nats.Connect(strings.TrimSpace(ts.ReadFile("clientele-data/nats.url")), nats.Timeout(testcluster.Patience))
	ts.Check(err)
	defer nc.Close()
	_, err = nc.Request(args[0], []byte(args[1]), testcluster.Patience)
	ts.Check(err)
}
