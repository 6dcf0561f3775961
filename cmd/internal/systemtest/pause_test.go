package systemtest

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

// operate runs a command of an operator, which must succeed.
func operate(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	status, stdout, stderr := testcluster.RunLine(t, args...)
	if status != cli.ExitOK {
		t.Fatalf("%v: %d: %s%s", args[0], status, stdout, stderr)
	}
	return stdout
}

// TestPause pauses two workers with the rights of deploy. Nobody but the operator can do so.
func TestPause(t *testing.T) {
	t.Parallel()
	f := testcluster.NewSecured(t)
	ingress := testcluster.Clientele(t, "ingress", f.Flags("ingress", "ingress")...)
	first := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	second := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	for _, p := range []*testcluster.Process{ingress, first, second} {
		p.Ready()
	}
	testcluster.Succeeded(t, ingress.API(), testcluster.Accepted(t, ingress.API(), testcluster.Jane, "1"))
	for _, user := range []string{"ingress", "worker", "mailer"} {
		if status, stdout, stderr := testcluster.RunLine(t, append([]string{"pause"}, f.NatsFlags(user)...)...); status != cli.ExitError || workersOf(t, f).Paused {
			t.Errorf("%s may pause: %d: %s%s", user, status, stdout, stderr)
		}
	}

	operator := f.NatsFlags("operator")
	operate(t, append([]string{"pause", "--for=1h", "--reason=a new disk", "--operator=alice"}, operator...)...)
	pending := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "2")
	for _, user := range []string{"ingress", "worker", "mailer"} {
		if status, stdout, stderr := testcluster.RunLine(t, append([]string{"resume"}, f.NatsFlags(user)...)...); status != cli.ExitError || !workersOf(t, f).Paused {
			t.Errorf("%s may resume: %d: %s%s", user, status, stdout, stderr)
		}
	}
	third := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	third.Ready()
	for _, p := range []*testcluster.Process{first, second, third} {
		r := testcluster.Get(t, p.Admin()+"/readyz")
		if r.Status != http.StatusOK || !strings.Contains(r.Body, `"degraded":["commands: paused until `) || testcluster.Metric(t, p.Admin(), "clientele_worker_paused") != 1 {
			t.Errorf("readyz: %d %s", r.Status, r.Body)
		}
	}
	if testcluster.Metric(t, ingress.Admin(), "clientele_worker_paused") != 1 {
		t.Error("the ingress does not report the pause")
	}
	status, s, _ := statusOf(t, f.Flags("operator", "operator"))
	if status != cli.ExitOK || s.Health != inspect.Warn || s.Commands.Waiting != 1 || s.Commands.Paused == nil || s.Commands.Paused.Operator != "alice" {
		t.Errorf("%d: %+v", status, s)
	}
	// All workers have asked for commands since, so a command that one could receive would have been delivered.
	if c := workersOf(t, f); c.Delivered.Consumer != 1 {
		t.Errorf("%+v", c)
	}
	operate(t, append([]string{"resume", "--operator=alice"}, operator...)...)
	testcluster.Succeeded(t, ingress.API(), pending)
	if r := testcluster.Get(t, first.Admin()+"/readyz"); r.Status != http.StatusOK || strings.Contains(r.Body, "paused") {
		t.Errorf("readyz: %d %s", r.Status, r.Body)
	}
	if testcluster.Metric(t, first.Admin(), "clientele_worker_paused") != 0 {
		t.Error("the metric still has the pause")
	}
}

// A pause holds on three servers, while one of them is lost, and until the operator ends it through any of them.
func TestAPauseOnThreeServers(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, 3)
	ingress, worker := r.clientele("ingress", 3), r.clientele("worker", 3)
	operate(t, "pause", "--for=1h", "--nats-url", r.url("operator", 0))
	pending := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	paused := func() bool {
		c, err := r.js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
		return err == nil && c.CachedInfo().Cluster.Leader != "" && c.CachedInfo().Paused && c.CachedInfo().NumPending == 1
	}
	publishertest.Eventually(t, "the command waits", paused)
	c, err := r.js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if name == c.CachedInfo().Cluster.Leader {
			r.servers[i].Kill()
		}
	}
	publishertest.Eventually(t, "another server leads the consumer, and still pauses it", func() bool {
		next, err := r.js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
		return err == nil && next.CachedInfo().Cluster.Leader != c.CachedInfo().Cluster.Leader && paused()
	})
	publishertest.Eventually(t, "the worker is connected, and waits", func() bool {
		next, err := r.js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
		return err == nil && next.CachedInfo().NumWaiting > 0 && next.CachedInfo().Delivered.Consumer == 0
	})
	publishertest.Eventually(t, "the operator ends it", func() bool {
		status, _, _ := testcluster.RunLine(t, "resume", "--nats-url", r.url("operator", 3))
		return status == cli.ExitOK
	})
	testcluster.Succeeded(t, ingress.API(), pending)
	worker.Stop()
}

// A backup has the pause, and a restore before its end restores it.
func TestARestoreKeepsAPause(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	serve := testcluster.Clientele(t, "serve", "--data-dir", from)
	serve.Ready()
	operate(t, "pause", "--for=1h", "--data-dir", from)
	pending := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	copied := filepath.Join(t.TempDir(), "backup")
	operate(t, "backup", copied, "--data-dir", from)
	serve.Stop()
	operate(t, "restore", copied, "--data-dir", to)

	restored := testcluster.Clientele(t, "serve", "--data-dir", to)
	restored.Ready()
	js := testcluster.JetStream(t, restored.NATSURL())
	c, err := js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		t.Fatal(err)
	}
	if info := c.CachedInfo(); !info.Paused || info.NumPending != 1 || info.PauseRemaining > time.Hour || info.PauseRemaining < 50*time.Minute {
		t.Errorf("%+v", info)
	}
	operate(t, "resume", "--data-dir", to)
	testcluster.Succeeded(t, restored.API(), pending)
	restored.Stop()
}

// TestNobodyPausesTheWorkers asks NATS itself, as each role. TestEachRoleByEachSubject has it as the reply subject of each request.
func TestNobodyPausesTheWorkers(t *testing.T) {
	t.Parallel()
	subject := "$JS.API.CONSUMER.PAUSE." + domain.StreamCommands + "." + domain.ConsumerWorker
	b := withAccounts(t)
	until := time.Now().Add(time.Hour).UTC()
	if _, err := b.js.PauseConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker, until); err != nil { // the operator may
		t.Fatal(err)
	}
	for role := range rights {
		for _, body := range []string{"", "{}", `{"pause_until":"2999-01-01T00:00:00Z"}`} {
			if msg, err := b.connect(role).Request(subject, []byte(body), 10*time.Second); !errors.Is(err, nats.ErrNoResponders) {
				t.Errorf("%s: %v, %v", role, msg, err)
			}
		}
		c, err := b.js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
		if err != nil || c.CachedInfo().Config.PauseUntil == nil || !c.CachedInfo().Config.PauseUntil.Equal(until) {
			t.Errorf("%s: %+v, %v", role, c, err)
		}
	}
}
