package cli_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

func TestEventsTail(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	api, natsURL := serve.API(), serve.NATSURL()
	tail := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := testcluster.RunLine(t, append([]string{"events", "tail", "--nats-url", natsURL, "--no-follow"}, args...)...)
		if status != cli.ExitOK {
			t.Fatalf("%d: %s%s", status, stdout, stderr)
		}
		return stdout
	}
	if out := tail("--since=24h"); out != "" {
		t.Errorf("no event exists: %s", out)
	}
	live := testcluster.Start(t, testcluster.Program(t, "clientele"), "events", "tail", "--nats-url", natsURL)
	js := testcluster.JetStream(t, natsURL)
	publishertest.Eventually(t, "tail follows the stream", func() bool {
		stream, err := js.Stream(t.Context(), "CLIENT_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Consumers == 1
	})
	var ids, records []string
	for range 3 {
		operation := testcluster.Accepted(t, api, testcluster.Jane, "")
		ids = append(ids, operation[strings.LastIndex(operation, "/")+1:])
		records = append(records, testcluster.Succeeded(t, api, operation))
	}
	for _, id := range ids {
		live.Says(`client\.created\s+(` + id + `)`)
	}
	if strings.Contains(live.Output(), "Smith") {
		t.Errorf("personal data in %s", live.Output())
	}
	live.Stop()
	if out := tail("--since=1h"); strings.Count(out, "\n") != 3 {
		t.Errorf("%s", out)
	}
	if out := tail("--since=2000-01-01T00:00:00Z", "--id", strings.ToUpper(ids[1])); strings.Count(out, "\n") != 1 || !strings.Contains(out, ids[1]) {
		t.Errorf("%s", out)
	}
	var event cli.CloudEvent
	if err := json.Unmarshal([]byte(tail("--since=1h", "--json", "--id", ids[2])), &event); err != nil || event.Subject != ids[2] ||
		event.Type != "client.created" || event.SpecVersion != "1.0" || string(event.Data) != records[2] {
		t.Errorf("%v: %+v", err, event)
	}
	serve.Stop()
}

func TestEventsReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	api, natsURL := serve.API(), serve.NATSURL()
	ids := map[string]bool{}
	for range 3 {
		operation := testcluster.Accepted(t, api, testcluster.Jane, "")
		testcluster.Succeeded(t, api, operation)
		ids[operation[strings.LastIndex(operation, "/")+1:]] = true
	}
	nc, err := nats.Connect(natsURL, nats.Timeout(testcluster.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	listener, err := nc.SubscribeSync("client.replay.mailer")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	replay := func(args ...string) (int, string) {
		t.Helper()
		status, stdout, stderr := testcluster.RunLine(t, append([]string{"events", "replay", "--nats-url", natsURL, "--data-dir", dir}, args...)...)
		return status, stdout + stderr
	}
	if status, out := replay("--since=1h", "--until=30m", "--yes"); status != cli.ExitOK || !strings.Contains(out, ": 0\n") {
		t.Errorf("%d: %s", status, out)
	}
	if status, out := replay("--since=1h", "--yes", "--subject=client.replay.mailer"); status != cli.ExitOK || !strings.Contains(out, "subscribers of client.replay.mailer: 3\n") {
		t.Errorf("%d: %s", status, out)
	}
	if status, out := replay("--since=1h", "--yes"); status != cli.ExitOK || !strings.Contains(out, "subscriber of client.created: 3\n") {
		t.Errorf("%d: %s", status, out)
	}
	status, out, _ := testcluster.RunLine(t, "events", "tail", "--nats-url", natsURL, "--since=1h", "--no-follow", "--json")
	events := map[string]int{}
	for line := range strings.Lines(out) {
		events[line]++
	}
	if status != cli.ExitOK || len(events) != 3 {
		t.Errorf("%d: %d different events, want 3: %s", status, len(events), out)
	}
	for event, n := range events {
		if n != 2 {
			t.Errorf("%d times, want 2: %s", n, event)
		}
	}
	for range 3 {
		msg, err := listener.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if !ids[msg.Header.Get("ce-subject")] || msg.Header.Get("ce-type") != "client.created" {
			t.Errorf("%v", msg.Header)
		}
		delete(ids, msg.Header.Get("ce-subject"))
	}
	serve.Stop()
}

// A replay of several pages to a subject reaches its listener completely.
func TestEventsReplayManyToASubject(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	natsURL := serve.NATSURL()
	nc, err := nats.Connect(natsURL, nats.Timeout(testcluster.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	const clients = 1200
	testcluster.Fill(t, nc, clients)
	publishertest.Eventually(t, "all clients are created", func() bool { return len(testcluster.Events(t, natsURL)) == clients })
	var mu sync.Mutex
	got := map[string]int{}
	if _, err := nc.Subscribe("client.replay.mailer", func(msg *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		got[msg.Header.Get("ce-subject")]++
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	replay := testcluster.Start(t, testcluster.Program(t, "clientele"), "events", "replay", "--nats-url", natsURL, "--data-dir", dir,
		"--since=1h", "--yes", "--subject=client.replay.mailer")
	if status := replay.Wait(); status != cli.ExitOK || !strings.Contains(replay.Output(), "client.replay.mailer: 1200\n") {
		t.Fatalf("%d: %s", status, replay.Output())
	}
	publishertest.Eventually(t, "the listener has all events", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == clients
	})
	mu.Lock()
	defer mu.Unlock()
	for id, n := range got {
		if n != 1 {
			t.Errorf("client %s: %d events", id, n)
		}
	}
	serve.Stop()
}

func TestEventsErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want   string
		status int
		args   []string
	}{
		{"cannot reach NATS", cli.ExitError, []string{"tail", "--nats-url=nats://127.0.0.1:1"}},
		{"--since", cli.ExitUsage, []string{"replay"}},
		{"--subject must", cli.ExitUsage, []string{"replay", "--since=1h", "--subject=client.>"}},
		{"does not exist: pass the --data-dir", cli.ExitError, []string{"replay", "--since=1h", "--yes", "--data-dir", t.TempDir()}},
		{"--since", cli.ExitUsage, []string{"tail", "--since=soon"}},
	} {
		if status, _, stderr := testcluster.RunLine(t, append([]string{"events"}, c.args...)...); status != c.status || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: %d, want %d and %s: %s", c.args, status, c.status, c.want, stderr)
		}
	}
}
