package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/embedded"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// site is a nats-server process and a PostgreSQL database, migrated.
type site struct {
	t        testing.TB
	nats     *natsServer
	database string
	flags    []string
	js       jetstream.JetStream
	// published returns all events that were sent since the site is there, by client id: those, too, that the stream dropped
	// because it had them.
	published func() map[string][]*nats.Msg
}

func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteOn(t, storetest.Postgres(t))
}

func newSiteOn(t testing.TB, database string) *site {
	t.Helper()
	s := &site{t: t, nats: startNATSServer(t), database: database}
	s.flags = []string{"--nats-url", s.nats.url, "--database-url", database}
	if status := clientele(t, "migrate", s.flags...).wait(); status != 0 {
		t.Fatalf("migrate: exit status %d", status)
	}
	s.js, s.published = jetStream(t, s.nats.url), watch(t, s.nats.url)
	return s
}

func (s *site) clientele(role string) *proc {
	s.t.Helper()
	p := clientele(s.t, role, s.flags...)
	p.ready()
	return p
}

func (s *site) rows() int {
	s.t.Helper()
	conn := s.session()
	defer conn.Close(context.Background())
	var n int
	if err := conn.QueryRow(context.Background(), `SELECT count(*) FROM clients`).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *site) consumer() *jetstream.ConsumerInfo {
	s.t.Helper()
	c, err := s.js.Consumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		s.t.Fatal(err)
	}
	return c.CachedInfo()
}

func (s *site) drained() bool {
	s.t.Helper()
	info := s.consumer()
	return info.NumPending == 0 && info.NumAckPending == 0
}

// backlog puts commands on the log of a data directory that no process uses.
func backlog(t testing.TB, dir string, n int) {
	t.Helper()
	server, err := embedded.StartNATS(embedded.NATSConfig{
		Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0", Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	nc, err := nats.Connect(server.ClientURL(), nats.InProcessServer(server))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fill(t, nc, n)
}

func TestSeparateProcesses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingresses := []*proc{s.clientele("ingress"), s.clientele("ingress")}
	workers := []*proc{s.clientele("worker"), s.clientele("worker")}
	apis := []string{ingresses[0].api(), ingresses[1].api()}
	for _, api := range apis {
		mainJob(t, api, s.nats.url)
	}
	fiftyAtOnce(t, apis, s.nats.url)
	waited := created(t, apis[0])
	if r := get(t, apis[1]+waited); r.status != http.StatusOK {
		t.Errorf("%s: %d %s", waited, r.status, r.body)
	}
	var operations []string
	for i := range 100 {
		operations = append(operations, accepted(t, apis[i%2], jane, ""))
	}
	for i, operation := range operations {
		succeeded(t, apis[i%2], operation)
	}
	if n := s.rows(); n != 104 {
		t.Errorf("%d rows, want 104", n)
	}
	for _, p := range append(ingresses, workers...) {
		p.stop()
	}
}

// created posts a client, waits for its record, and returns where the client is.
func created(t *testing.T, api string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/api/v2/clients", strings.NewReader(jane))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", "wait=20")
	r, err := roundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if r.status != http.StatusCreated || r.object(t)["status"] != "NotInvited" {
		t.Fatalf("%d %v: %s", r.status, r.header, r.body)
	}
	return r.header.Get("Location")
}

func TestNATSIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress, worker := s.clientele("ingress"), s.clientele("worker")
	forward := start(t, program(t, "clientele"), "events", "forward", "http://127.0.0.1:1", "--nats-url", s.nats.url,
		"--admin-listen=127.0.0.1:0", "--log-format=json")
	forward.ready()
	operations := []string{accepted(t, ingress.api(), jane, "")}
	refused := func(how string) {
		t.Helper()
		start := time.Now()
		r := post(t, ingress.api(), jane, "")
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v: %s", how, r.status, r.header, r.body)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: answered after %s", how, took)
		}
	}
	back := func() {
		t.Helper()
		publishertest.Eventually(t, "commands are accepted again", func() bool {
			r := post(t, ingress.api(), jane, "")
			if r.status == http.StatusAccepted {
				operations = append(operations, r.header.Get("Location"))
			}
			return r.status == http.StatusAccepted
		})
	}

	s.nats.signal(syscall.SIGSTOP)
	refused("paused")
	s.nats.signal(syscall.SIGCONT)
	back()

	s.nats.kill()
	refused("killed")
	for _, p := range []*proc{ingress, worker, forward} {
		if r := get(t, p.admin()+"/readyz"); r.status != http.StatusServiceUnavailable ||
			!strings.Contains(r.body, "NATS cannot be reached") || strings.Contains(r.body, "buffer limit") {
			t.Errorf("readyz: %d %s", r.status, r.body)
		}
	}
	s.nats.restart(t)
	back()
	ingress.ready()
	worker.ready()
	for _, operation := range operations {
		succeeded(t, ingress.api(), operation)
	}
}

func TestGarbageOnTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress := s.clientele("ingress")
	first := accepted(t, ingress.api(), jane, "")
	js := jetStream(t, s.nats.url)
	if _, err := js.Publish(context.Background(), "client.create.x", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	last := accepted(t, ingress.api(), jane, "")
	worker := s.clientele("worker")
	succeeded(t, ingress.api(), first)
	succeeded(t, ingress.api(), last)
	publishertest.Eventually(t, "the garbage is rejected", func() bool {
		rejected := messages(t, s.nats.url, domain.StreamRejections)
		return len(rejected) == 1 && rejected[0].Subject == "client.rejected.x"
	})
	worker.says(`"id":"x","reason":"undecodable"`)
}

func TestWaitingForServers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.nats.kill()
	for _, role := range []string{"ingress", "worker"} {
		p := clientele(t, role, s.flags...)
		p.says(fmt.Sprintf(`"message":"waiting for NATS at %s"`, s.nats.url))
		r := get(t, p.admin()+"/readyz")
		if r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "waiting for NATS") {
			t.Errorf("readyz of an %s that waits: %d %s", role, r.status, r.body)
		}
		if r := get(t, p.admin()+"/livez"); r.status != http.StatusOK {
			t.Errorf("livez of an %s that waits: %d", role, r.status)
		}
		p.stop()
	}
}

func TestServersThatAreNotSetUp(t *testing.T) {
	t.Parallel()
	bare := startNATSServer(t)
	set := newSite(t)
	empty := storetest.Postgres(t)
	newer := newSite(t)
	conn, err := pgx.Connect(context.Background(), newer.database)
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
			{"no streams", bare.url, set.database, "run clientele migrate"},
			{"no schema", set.nats.url, empty, "schema version 0, this program needs 1: run clientele migrate"},
			{"newer schema", newer.nats.url, newer.database, "schema version 999, newer than this program's 1: run a newer clientele"},
		} {
			p := clientele(t, role, "--nats-url", c.nats, "--database-url", c.database)
			if status := p.wait(); status != exitError || !strings.Contains(p.output(), "clientele: ") || !strings.Contains(p.output(), c.want) {
				t.Errorf("%s, %s: exit status %d: %s", role, c.name, status, p.output())
			}
		}
	}
	p := clientele(t, "migrate", "--nats-url", newer.nats.url, "--database-url", newer.database)
	if status := p.wait(); status != exitError || !strings.Contains(p.output(), "run a newer clientele") {
		t.Errorf("migrate of a newer schema: exit status %d: %s", status, p.output())
	}
}
