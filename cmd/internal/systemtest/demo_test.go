package systemtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// TestDemo runs the demo until there is something of each kind to see, and ends it.
func TestDemo(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	demo := testcluster.StartWith(t, append(os.Environ(), "TMPDIR="+temporary), testcluster.Program(t, "clientele"), "demo", "--rate=40", "--console-listen=127.0.0.1:0")
	console := demo.Says(`The console is at (http://127\.0\.0\.1:\d+):`)
	api := demo.Says(`The API is at (http://127\.0\.0\.1:\d+),`)
	dir := demo.Says(`clientele status --watch --data-dir (\S+)`)
	for _, url := range []string{console + "/", api + "/docs"} {
		if r := testcluster.Get(t, url); r.Status != 200 {
			t.Errorf("%s: %d %s", url, r.Status, r.Body)
		}
	}
	for what, args := range map[string][]string{
		"invalid":   {"rejections", "ls", "--group"},
		"delivered": {"webhooks", "deliveries", "demo-receiver"},
		"503":       {"webhooks", "deliveries", "demo-receiver", "--failed"},
	} {
		publishertest.Eventually(t, what+" is listed", func() bool {
			status, stdout, _ := testcluster.RunLine(t, append(args, "--data-dir", dir)...)
			return status == cli.ExitOK && strings.Contains(stdout, what)
		})
	}
	demo.Stop()
	if want := "removed " + filepath.Dir(dir) + "\n"; !strings.HasSuffix(demo.Output(), want) {
		t.Errorf("the demo does not say %q: %s", want, demo.Output())
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("the demo has left %v, %v", left, err)
	}
}

func TestDemoOnANetwork(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--listen", "--console-listen"} {
		status, _, stderr := testcluster.RunLine(t, "demo", flag, "0.0.0.0:0")
		if status != cli.ExitUsage || !strings.Contains(stderr, "on loopback") {
			t.Errorf("%s: %d %s", flag, status, stderr)
		}
	}
}
