package systemtest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
)

func TestSeparateProcesses(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingresses := []*testcluster.Process{s.Clientele("ingress"), s.Clientele("ingress")}
	workers := []*testcluster.Process{s.Clientele("worker"), s.Clientele("worker")}
	apis := []string{ingresses[0].API(), ingresses[1].API()}
	for _, api := range apis {
		testcluster.MainJob(t, api, s.NATS.URL)
	}
	testcluster.FiftyAtOnce(t, apis, s.NATS.URL)
	waited := testcluster.Created(t, apis[0])
	if r := testcluster.Get(t, apis[1]+waited); r.Status != http.StatusOK {
		t.Errorf("%s: %d %s", waited, r.Status, r.Body)
	}
	var operations []string
	for i := range 100 {
		operations = append(operations, testcluster.Accepted(t, apis[i%2], testcluster.Jane, ""))
	}
	for i, operation := range operations {
		testcluster.Succeeded(t, apis[i%2], operation)
	}
	if n := s.Rows(); n != 104 {
		t.Errorf("%d rows, want 104", n)
	}
	for _, p := range append(ingresses, workers...) {
		p.Stop()
	}
}

func TestNATSIsUnavailable(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	forward := testcluster.Clientele(t, "forward", "--nats-url", s.NATS.URL)
	forward.Ready()
	operations := []string{testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")}
	refused := func(how string) {
		t.Helper()
		start := time.Now()
		r := testcluster.Post(t, ingress.API(), testcluster.Jane, "")
		if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v: %s", how, r.Status, r.Header, r.Body)
		}
		if took := time.Since(start); took > testcluster.Patience {
			t.Errorf("%s: answered after %s", how, took)
		}
	}
	back := func() {
		t.Helper()
		publishertest.Eventually(t, "commands are accepted again", func() bool {
			r := testcluster.Post(t, ingress.API(), testcluster.Jane, "")
			if r.Status == http.StatusAccepted {
				operations = append(operations, r.Header.Get("Location"))
			}
			return r.Status == http.StatusAccepted
		})
	}

	s.NATS.Signal(syscall.SIGSTOP)
	refused("paused")
	s.NATS.Signal(syscall.SIGCONT)
	back()

	s.NATS.Kill()
	refused("killed")
	for _, p := range []*testcluster.Process{ingress, worker, forward} {
		if r := testcluster.Get(t, p.Admin()+"/readyz"); r.Status != http.StatusServiceUnavailable ||
			!strings.Contains(r.Body, "NATS cannot be reached") || strings.Contains(r.Body, "buffer limit") {
			t.Errorf("readyz: %d %s", r.Status, r.Body)
		}
	}
	s.NATS.Restart(t)
	back()
	ingress.Ready()
	worker.Ready()
	forward.Ready()
	for _, operation := range operations {
		testcluster.Succeeded(t, ingress.API(), operation)
	}
}

func TestGarbageOnTheLog(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress := s.Clientele("ingress")
	first := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	js := testcluster.JetStream(t, s.NATS.URL)
	if _, err := js.Publish(context.Background(), "client.create.x", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	last := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	worker := s.Clientele("worker")
	testcluster.Succeeded(t, ingress.API(), first)
	testcluster.Succeeded(t, ingress.API(), last)
	publishertest.Eventually(t, "the garbage is rejected", func() bool {
		rejected := testcluster.Messages(t, s.NATS.URL, domain.StreamRejections)
		return len(rejected) == 1 && rejected[0].Subject == "client.rejected.x"
	})
	worker.Says(`"id":"x","reason":"undecodable"`)
}

func TestWaitingForServers(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	s.NATS.Kill()
	for _, role := range []string{"ingress", "worker"} {
		p := testcluster.Clientele(t, role, s.Flags...)
		p.Says(fmt.Sprintf(`"message":"waiting for NATS at %s"`, s.NATS.URL))
		r := testcluster.Get(t, p.Admin()+"/readyz")
		if r.Status != http.StatusServiceUnavailable || !strings.Contains(r.Body, "waiting for NATS") {
			t.Errorf("readyz of an %s that waits: %d %s", role, r.Status, r.Body)
		}
		if r := testcluster.Get(t, p.Admin()+"/livez"); r.Status != http.StatusOK {
			t.Errorf("livez of an %s that waits: %d", role, r.Status)
		}
		p.Stop()
	}
}

func TestServersThatAreNotSetUp(t *testing.T) {
	t.Parallel()
	bare := testcluster.StartNATSServer(t)
	set := testcluster.New(t)
	empty := storetest.Postgres(t)
	newer := testcluster.New(t)
	conn, err := pgx.Connect(context.Background(), newer.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(),
		`INSERT INTO clientele_schema (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"ingress", "worker"} {
		for _, c := range []struct{ name, nats, database, want string }{
			{"no streams", bare.URL, set.Database, "run clientele migrate"},
			{"no schema", set.NATS.URL, empty, "schema version 0, this program needs 7: run clientele migrate"},
			{"newer schema", newer.NATS.URL, newer.Database, "schema version 999, newer than this program's 7: run a newer clientele"},
		} {
			p := testcluster.Clientele(t, role, "--nats-url", c.nats, "--database-url", c.database)
			if status := p.Wait(); status != cli.ExitError || !strings.Contains(p.Output(), "clientele: ") || !strings.Contains(p.Output(), c.want) {
				t.Errorf("%s, %s: exit status %d: %s", role, c.name, status, p.Output())
			}
		}
	}
	p := testcluster.Clientele(t, "migrate", "--nats-url", newer.NATS.URL, "--database-url", newer.Database)
	if status := p.Wait(); status != cli.ExitError || !strings.Contains(p.Output(), "run a newer clientele") {
		t.Errorf("migrate of a newer schema: exit status %d: %s", status, p.Output())
	}
}

// A worker that may read clients but not store them ends at once. One that loses the right while it runs is not ready.
func TestAWorkerMayNotStoreClients(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	session := s.Session()
	role := "reader_of_" + s.Database[strings.LastIndex(s.Database, "/")+1:strings.Index(s.Database, "?")]
	s.Exec(session, `CREATE ROLE `+role+` LOGIN`)
	t.Cleanup(func() {
		s.Exec(session, `DROP OWNED BY `+role)
		s.Exec(session, `DROP ROLE `+role)
	})
	s.Exec(session, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+role)
	flags := []string{"--nats-url", s.NATS.URL, "--database-url", strings.Replace(s.Database, "clientele@", role+"@", 1)}
	const want = "permission denied for table clients"
	refused := testcluster.Clientele(t, "worker", flags...)
	if status := refused.Wait(); status != cli.ExitError || !strings.Contains(refused.Output(), want) || !strings.Contains(refused.Output(), "roles.sql") {
		t.Errorf("exit status %d: %s", status, refused.Output())
	}

	s.Exec(session, `GRANT INSERT ON clients, rejections TO `+role)
	worker := testcluster.Clientele(t, "worker", flags...)
	worker.Ready()
	s.Exec(session, `REVOKE INSERT ON clients FROM `+role)
	publishertest.Eventually(t, "the worker is not ready", func() bool {
		r := testcluster.Get(t, worker.Admin()+"/readyz")
		return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, want)
	})
	s.Exec(session, `GRANT INSERT ON clients TO `+role)
	worker.Ready()
}
