package systemtest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

func TestSubscriberInGo(t *testing.T) {
	t.Parallel()
	program := testcluster.Program(t, "subscriber")
	welcomesOnce(t, "mailer", func(natsURL, welcomed string) *testcluster.Process {
		return testcluster.StartWith(t, []string{"NATS_URL=" + natsURL}, program, "-welcomed", welcomed)
	})
}

// welcomesOnce checks that a subscriber welcomes each client once: it is killed, stopped and started again, and every event is
// delivered twice.
func welcomesOnce(t *testing.T, durable string, start func(natsURL, welcomed string) *testcluster.Process) {
	t.Helper()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	api, natsURL := serve.API(), serve.NATSURL()
	file := filepath.Join(t.TempDir(), "welcomed.txt")
	lines := func() int {
		t.Helper()
		content, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(content), " welcomed client ")
	}
	if status, stdout, stderr := testcluster.RunLine(t, "events", "subscribe", durable, "--only=created", "--nats-url", natsURL); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	first := start(natsURL, file)
	first.Says(`waiting for client\.created; \S+ has 0 processed events\n`)
	for range 2 {
		operation := testcluster.Accepted(t, api, testcluster.Jane, "")
		testcluster.Succeeded(t, api, operation)
		first.Says(`welcomed client ` + operation[strings.LastIndex(operation, "/")+1:] + `\n`)
	}
	if n := lines(); n != 2 {
		t.Errorf("%d are welcomed, want 2", n)
	}
	first.Kill()
	testcluster.Succeeded(t, api, testcluster.Accepted(t, api, testcluster.Jane, ""))
	if status, stdout, stderr := testcluster.RunLine(t, "events", "replay", "--since=1h", "--yes", "--nats-url", natsURL, "--data-dir", dir); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	second := start(natsURL, file)
	second.Says(`has 2 processed events\n`)
	js := testcluster.JetStream(t, natsURL)
	publishertest.Eventually(t, "all events are acknowledged", func() bool {
		consumer, err := js.Consumer(t.Context(), domain.StreamEvents, durable)
		if err != nil {
			t.Fatal(err)
		}
		info := consumer.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0 && info.AckFloor.Consumer >= 6
	})
	if n := lines(); n != 3 {
		t.Errorf("%d are welcomed, want 3", n)
	}
	second.Signal(syscall.SIGINT)
	if status := second.Wait(); status != 0 {
		t.Errorf("exit status %d after SIGINT", status)
	}
	if output := first.Output() + second.Output(); strings.Contains(output, "Jane") || strings.Contains(output, "jsmith") {
		t.Errorf("personal data in %s", output)
	}
	serve.Stop()
}
