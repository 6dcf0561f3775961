package systemtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

// live returns the role and the readiness of the processes in a status.
func live(s inspect.Status) (found []string) {
	for _, p := range s.Processes {
		found = append(found, p.Role+fmt.Sprint(" ", p.Ready))
	}
	return found
}

// TestStatusShowsTheProcesses runs each role with the rights of deploy.
func TestStatusShowsTheProcesses(t *testing.T) {
	t.Parallel()
	f := testcluster.NewSecured(t)
	f.Subscription()
	operator := f.Flags("operator", "operator")
	ingress := testcluster.Clientele(t, "ingress", f.Flags("ingress", "ingress")...)
	first := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	second := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	forward := testcluster.Clientele(t, "forward", f.NatsFlags("forward")...)
	serve := testcluster.Clientele(t, "serve", f.Flags("operator", "owner")...)
	for _, p := range []*testcluster.Process{ingress, first, second, forward, serve} {
		p.Ready()
	}
	publishertest.Eventually(t, "all roles are seen", func() bool {
		_, s, _ := statusOf(t, operator)
		return slices.Equal(live(s), []string{"forward true", "ingress true", "serve true", "worker true", "worker true"})
	})
	_, s, _ := statusOf(t, operator)
	for _, p := range s.Processes {
		if p.Version == "" || p.Host == "" || p.Started.IsZero() || len(p.Reasons) > 0 {
			t.Errorf("%+v", p)
		}
	}
	for _, p := range []*testcluster.Process{ingress, first, second, forward, serve} {
		if strings.Contains(p.Output(), "ermissions") || strings.Contains(p.Output(), "cannot show this process") {
			t.Errorf("a process lacks a right: %s", p.Output())
		}
	}

	// One stops, one is killed, and one loses its database.
	second.Stop()
	forward.Kill()
	serve.Stop()
	publishertest.Eventually(t, "two are left", func() bool {
		_, s, _ := statusOf(t, operator)
		return slices.Equal(live(s), []string{"ingress true", "worker true"})
	})
	f.Postgres.Stop(t, false)
	publishertest.Eventually(t, "the worker is not ready, and says why", func() bool {
		status, s, _ := statusOf(t, operator)
		return status == cli.ExitUnhealthy && slices.Equal(live(s), []string{"ingress true", "worker false"}) &&
			slices.ContainsFunc(s.Processes[1].Reasons, func(reason string) bool { return strings.HasPrefix(reason, "database: ") }) &&
			slices.ContainsFunc(s.Problems, func(p inspect.Finding) bool {
				return p.Name == "worker" && strings.HasPrefix(p.Found, "1 of 1 not ready, on ")
			})
	})
	f.Postgres.Start(t)
}

// What the metrics of the streams ask NATS must not delay an announcement.
func TestAnAnnouncementAsksForNoMetrics(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	for role, asked := range map[string]string{"ingress": "$JS.API.CONSUMER.INFO.", "worker": "$JS.API.STREAM.INFO." + domain.StreamAudit} {
		p := s.Clientele(role)
		p.Ready()
		announced, requests := subscribed(t, s, "presence."+role), subscribed(t, s, "$JS.EVENT.ADVISORY.API")
		if _, err := announced.NextMsg(testcluster.Patience); err != nil {
			t.Fatal(err)
		}
		count(t, requests, asked) // those of Ready, which the server may report later
		for range 3 {
			if _, err := announced.NextMsg(testcluster.Patience); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(t, requests, asked); n > 0 {
			t.Errorf("%s: three announcements asked %d times", role, n)
		}
		publishertest.Eventually(t, "/metrics asks", func() bool {
			testcluster.Metric(t, p.Admin(), "clientele_log_commands")
			return count(t, requests, asked) > 0
		})
		p.Stop()
	}
}

func subscribed(t *testing.T, s *testcluster.Cluster, subject string) *nats.Subscription {
	t.Helper()
	sub, err := s.JetStream.Conn().SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// count returns how many of the messages received contain a text.
func count(t *testing.T, received *nats.Subscription, text string) (n int) {
	t.Helper()
	for {
		waiting, _, err := received.Pending()
		if err != nil {
			t.Fatal(err)
		}
		if waiting == 0 {
			return n
		}
		msg, err := received.NextMsg(testcluster.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(msg.Data), text) {
			n++
		}
	}
}

// TestStatusShowsProcessesOfOtherServers asks one of three servers, while processes are connected to others.
func TestStatusShowsProcessesOfOtherServers(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, 3)
	r.clientele("ingress", 1)
	r.clientele("worker", 2)
	for _, server := range []int{0, 3} {
		publishertest.Eventually(t, "both are seen", func() bool {
			_, s, _ := statusOf(t, r.flags("operator", server))
			return slices.Equal(live(s), []string{"ingress true", "worker true"})
		})
	}
}

// Two versions of a role are an upgrade in progress. Here another program announces itself as an ingress, which its account allows.
func TestStatusShowsAnUpgrade(t *testing.T) {
	t.Parallel()
	b := withAccounts(t)
	announce := func(role, body string) {
		t.Helper()
		nc := b.connect(role)
		if err := nc.Publish("presence."+role, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	looker, err := inspect.New(inspect.Config{Conn: b.connect("operator"), StoreError: nats.ErrNoServers})
	if err != nil {
		t.Fatal(err)
	}
	defer looker.Close()
	if _, err := looker.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	var s inspect.Status
	publishertest.Eventually(t, "all are seen", func() bool {
		announce("ingress", `{"id":"a","version":"1.1","ready":true}`)
		announce("ingress", `{"id":"b","version":"1.0","ready":true}`)
		announce("worker", `{"id":"b","version":"1.0","ready":true}`)
		s, err = looker.Look(t.Context())
		return err == nil && slices.Equal(live(s), []string{"ingress true", "ingress true", "worker true"})
	})
	const want = "processes of this role have different versions: 1.0, 1.1"
	upgrades := slices.DeleteFunc(slices.Clone(s.Problems), func(p inspect.Finding) bool { return !strings.Contains(p.Found, "versions") })
	if len(upgrades) != 1 || upgrades[0].Name != "ingress" || upgrades[0].Found != want || upgrades[0].Result != inspect.Warn {
		t.Errorf("%+v", upgrades)
	}
}

// An accounts.conf of an earlier version has no presence. Everything else works.
func TestWithoutPresence(t *testing.T) {
	t.Parallel()
	f := testcluster.NewSecuredWith(t, nil, map[string]string{
		`"presence.serve"`: "", `, "presence.>"`: "", `stream: "presence.`: `stream: "former.`, `subject: "presence.`: `subject: "former.`,
	})
	worker := testcluster.Clientele(t, "worker", f.Flags("worker", "worker")...)
	serve := testcluster.Clientele(t, "serve", f.Flags("operator", "owner")...)
	worker.Ready()
	serve.Ready()
	serve.Says("status and doctor cannot show this process")
	status, s, stderr := statusOf(t, f.Flags("operator", "operator"))
	if status != cli.ExitOK || len(s.Processes) > 0 || !strings.Contains(s.ProcessesError, "presence.>") || s.Health != inspect.Warn {
		t.Errorf("%d: %+v, %s", status, s, stderr)
	}
	testcluster.Succeeded(t, serve.API(), testcluster.Accepted(t, serve.API(), testcluster.Jane, ""))
}
