package systemtest

import (
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// statusOf runs status --json with these flags.
func statusOf(t *testing.T, flags []string) (status int, s inspect.Status, stderr string) {
	t.Helper()
	status, stdout, stderr := testcluster.RunLine(t, append([]string{"status", "--json", "--interval=200ms"}, flags...)...)
	if stdout != "" {
		if err := json.Unmarshal([]byte(stdout), &s); err != nil {
			t.Fatalf("%v: %s", err, stdout)
		}
	}
	return status, s, stderr
}

// failures returns the names of the problems that are failures.
func failures(s inspect.Status) (names []string) {
	for _, p := range s.Problems {
		if p.Result == inspect.Fail {
			names = append(names, p.Name)
		}
	}
	return names
}

// TestStatus runs status with the operator's rights of deploy: while all is well, and while each part has failed.
func TestStatus(t *testing.T) {
	t.Parallel()
	f := testcluster.NewSecured(t)
	ingress := testcluster.Clientele(t, "ingress", f.Flags("ingress", "ingress")...)
	worker := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	ingress.Ready()
	worker.Ready()
	f.Subscription()
	testcluster.Succeeded(t, ingress.API(), testcluster.Accepted(t, ingress.API(), testcluster.Jane, "1"))
	operator := f.Flags("operator", "operator")
	publishertest.Eventually(t, "the event is published, and the command acknowledged", func() bool { return workersOf(t, f).AckFloor.Stream == 1 })
	wantWell(t, operator)

	// A credential without the rights, and half of a system, cannot look.
	for user, want := range map[string]string{"worker": "use the operator's credentials", "mailer": "does not reach the streams"} {
		if status, _, stderr := statusOf(t, f.Flags(user, "operator")); status != cli.ExitError || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %s", user, status, stderr)
		}
	}
	if status, _, stderr := statusOf(t, f.NatsFlags("operator")); status != cli.ExitUsage || !strings.Contains(stderr, "pass both") {
		t.Errorf("%d, %s", status, stderr)
	}

	worker.Stop()
	status, s, _ := statusOf(t, operator)
	if status != cli.ExitOK || s.Health != inspect.Warn || !s.Commands.NoWorker {
		t.Errorf("without a worker: %d, %+v", status, s)
	}
	testcluster.Accepted(t, ingress.API(), testcluster.Jane, "2")
	status, s, _ = statusOf(t, operator)
	if status != cli.ExitUnhealthy || !slices.Equal(failures(s), []string{"workers"}) || s.Commands.Waiting != 1 || s.Commands.OldestSeconds <= 0 {
		t.Errorf("a command without a worker: %d, %+v", status, s)
	}

	f.Postgres.Stop(t, false)
	if status, s, _ = statusOf(t, operator); status != cli.ExitUnhealthy || !slices.Contains(failures(s), "database") || s.Database.Answers {
		t.Errorf("without a database: %d, %+v", status, s)
	}
	f.Postgres.Start(t)

	js, err := jetstream.New(f.Connect("operator"))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), domain.StreamRejections); err != nil {
		t.Fatal(err)
	}
	if status, s, _ = statusOf(t, operator); status != cli.ExitUnhealthy || !slices.Contains(failures(s), domain.StreamRejections) {
		t.Errorf("without a stream: %d, %+v", status, s)
	}
	if err := js.DeleteConsumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	if status, s, _ = statusOf(t, operator); status != cli.ExitUnhealthy || s.Commands.Error == "" {
		t.Errorf("without the consumer: %d, %+v", status, s)
	}
	f.NATS.Stop()
	if status, _, stderr := statusOf(t, operator); status != cli.ExitError || !strings.Contains(stderr, "cannot reach NATS") {
		t.Errorf("without NATS: %d, %s", status, stderr)
	}
}

// wantWell checks the status of an installation with a client and a subscriber.
func wantWell(t *testing.T, flags []string) {
	t.Helper()
	status, s, stderr := statusOf(t, flags)
	if status != cli.ExitOK || s.Health != inspect.OK || len(s.Problems) > 0 || stderr != "" {
		t.Errorf("%d, %+v, %s", status, s, stderr)
	}
	if c := s.Commands; c.Accepted != 1 || c.Completed != 1 || c.Backlog != 0 || c.NoWorker || c.Rates == nil {
		t.Errorf("commands: %+v", c)
	}
	if s.Database.Product != "PostgreSQL" || !s.Database.Answers || len(s.Streams) != len(inspect.Streams) || strings.Contains(s.NATS.URL, "@") {
		t.Errorf("%+v", s)
	}
	if len(s.Subscribers) != 1 || s.Subscribers[0].Name != "mailer" || s.Subscribers[0].Waiting != 1 || s.Subscribers[0].OldestSeconds <= 0 {
		t.Errorf("subscribers: %+v", s.Subscribers)
	}
	if s.Audit.Count == 0 || s.Audit.Last.IsZero() {
		t.Errorf("audit trail: %+v", s.Audit)
	}
}

// TestStatusOfThreeServers shows the replicas, and one that is offline.
func TestStatusOfThreeServers(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, 3)
	worker := r.clientele("worker", 3)
	const unavailable = `clientele_stream_replicas_unavailable{stream="CLIENT_COMMANDS"}`
	publishertest.Eventually(t, "all replicas are current", func() bool { return testcluster.Metric(t, worker.Admin(), unavailable) == 0 })
	status, s, stderr := statusOf(t, r.flags("operator", 3))
	if status != cli.ExitOK || s.NATS.Cluster != "clientele" || s.Streams[0].Replicas != 3 || len(s.Streams[0].Followers) != 2 || s.Streams[0].Leader == "" {
		t.Fatalf("%d, %+v, %s", status, s, stderr)
	}
	down := r.follower()
	r.servers[down].Kill()
	publishertest.Eventually(t, "the replica is a problem", func() bool {
		status, s, _ := statusOf(t, r.flags("operator", 3))
		return status == cli.ExitOK && slices.ContainsFunc(s.Problems, func(p inspect.Finding) bool {
			return p.Name == "NATS server "+names[down] && strings.HasSuffix(p.Found, "; streams affected: 6")
		})
	})
	publishertest.Eventually(t, "the metric counts it", func() bool { return testcluster.Metric(t, worker.Admin(), unavailable) == 1 })
	r.servers[down].Restart(t)
	publishertest.Eventually(t, "it has caught up", func() bool { return testcluster.Metric(t, worker.Admin(), unavailable) == 0 })
}

// TestStatusWatchesThroughARestart loses NATS while it watches, and finds it again.
func TestStatusWatchesThroughARestart(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	watch := testcluster.Start(t, testcluster.Program(t, "clientele"), append([]string{"status", "--watch", "--interval=100ms"}, s.Flags...)...)
	watch.Says(`accepted 0/s, completed 0/s`)
	s.NATS.Stop()
	watch.Says(`cannot look: `)
	began := len(watch.Output())
	s.NATS.Restart(t)
	publishertest.Eventually(t, "status looks again", func() bool { return strings.Contains(watch.Output()[began:], "accepted 0/s") })
	watch.Stop()
}
