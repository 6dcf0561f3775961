//go:build faults

package faulttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// system is the system under test: the processes of Clientele, and the servers that they use.
type system struct {
	t       testing.TB
	program string
	dir     string // of the embedded NATS and SQLite
	members []*member
	apis    []string
	callers int // that post at the same time

	servers  []*testcluster.NATSServer // none if NATS is in serve
	postgres *storetest.PostgresServer // the primary; nil for SQLite
	proxies  proxies                   // of separate processes
	cluster  *cluster                  // nil for other stages

	natsURL     string
	databaseURL string
	nc          *nats.Conn
	js          jetstream.JetStream
	clients     store.Store
	heard       *subscriber
	journal     *journal
	violations  []string // that faults found
}

// member is a process of Clientele. After its end it is started again at the same addresses.
type member struct {
	t       testing.TB
	name    string
	program string
	host    *testcluster.Host // nil for this machine
	args    []string
	clock   string // the file that steps its clock

	mu      sync.Mutex
	proc    *testcluster.Process
	outputs []*testcluster.Process // all that were started
}

func (m *member) start(environment ...string) *testcluster.Process {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	environment = append(environment, "CLIENTELE_FAULTS_CLOCK="+m.clock)
	m.proc = m.host.Start(m.t, environment, m.program, m.args...)
	m.outputs = append(m.outputs, m.proc)
	return m.proc
}

// role returns serve, ingress or worker.
func (m *member) role() string { return m.args[0] }

// newEmbedded returns a system of one process with everything inside, on this data directory.
func newEmbedded(t testing.TB, program, dir string, flags ...string) *system {
	t.Helper()
	s := &system{t: t, program: program, dir: dir, callers: 24}
	api, natsListen := testcluster.FreeAddress(t), testcluster.FreeAddress(t)
	s.natsURL = "nats://" + natsListen
	s.join(nil, "serve", "serve", append([]string{"--listen=" + api, "--nats-listen=" + natsListen, "--data-dir=" + dir, "--history=10s"}, flags...)...)
	s.apis = []string{"http://" + api}
	return s
}

// newSeparate returns a system of two ingresses and two workers, which reach a nats-server and PostgreSQL through proxies.
func newSeparate(t testing.TB, program string) *system {
	t.Helper()
	server := testcluster.StartNATSServer(t)
	s := &system{t: t, program: program, callers: 24, servers: []*testcluster.NATSServer{server}, postgres: storetest.StartPostgres(t)}
	s.natsURL, s.databaseURL = server.URL, s.postgres.URL()
	s.migrate()
	s.proxies = startProxies(t, s.natsURL, s.databaseURL)
	for i := range 2 {
		api := testcluster.FreeAddress(t)
		s.apis = append(s.apis, "http://"+api)
		s.join(nil, fmt.Sprint("ingress ", i), "ingress", "--listen="+api,
			"--nats-url="+s.proxies.ingressNATS.Instead(s.natsURL), "--database-url="+s.proxies.postgres.Instead(s.databaseURL))
		s.join(nil, fmt.Sprint("worker ", i), "worker", "--history=10s",
			"--nats-url="+s.proxies.workerNATS.Instead(s.natsURL), "--database-url="+s.proxies.postgres.Instead(s.databaseURL))
	}
	return s
}

// migrate runs migrate on the servers.
func (s *system) migrate(flags ...string) {
	s.t.Helper()
	args := append([]string{"migrate", "--nats-url", s.natsURL, "--database-url", s.databaseURL}, flags...)
	if status := testcluster.Start(s.t, s.program, args...).Wait(); status != 0 {
		s.t.Fatalf("migrate: exit status %d", status)
	}
}

// credential returns the user and the password of the latest start of serve.
func (s *system) credential() (user, password string) {
	text, err := os.ReadFile(filepath.Join(s.dir, "nats.url"))
	if err != nil {
		return "", "" // refused, until serve has started
	}
	u, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		s.t.Error(err)
		return "", ""
	}
	password, _ = u.User.Password()
	return u.User.Username(), password
}

// join adds a member on a host.
func (s *system) join(host *testcluster.Host, name, role string, args ...string) {
	admin := "127.0.0.1:0"
	if host != nil {
		admin = host.Address + ":9090"
	}
	s.members = append(s.members, &member{
		t: s.t, name: name, program: s.program, host: host,
		args:  append([]string{role, "--log-format=json", "--admin-listen=" + admin}, args...),
		clock: filepath.Join(s.t.TempDir(), "clock"),
	})
}

// open starts the members and connects to NATS and the database. It is separate from the constructors, because a start may fail after
// the disk lost data. The ids of keyed claims depend on the secret of the system.
func (s *system) open(h *history) error {
	for _, m := range s.members {
		p := m.start()
		if !testcluster.Within(time.Minute, func() bool { return p.IsReady() || p.Ended() }) || p.Ended() {
			return fmt.Errorf("%s did not become ready:\n%s", m.name, p.Output())
		}
	}
	var err error
	options := []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.PingInterval(2 * time.Second)}
	if len(s.servers) == 0 {
		options = append(options, nats.UserInfoHandler(s.credential), nats.IgnoreAuthErrorAbort())
	}
	if s.nc, err = nats.Connect(s.natsURL, options...); err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc, jetstream.WithDefaultTimeout(2*time.Second)); err != nil {
		return err
	}
	h.apis = s.apis
	if h.keyedID, err = testcluster.KeyedIDs(s.nc); err != nil {
		return err
	}
	s.heard = &subscriber{events: map[string][sha256.Size]byte{}}
	if _, err := s.nc.Subscribe(domain.SubjectCreated, s.heard.hear); err != nil {
		return err
	}
	if s.postgres != nil {
		s.clients, err = postgres.Open(context.Background(), postgres.Config{URL: s.databaseURL})
	} else {
		s.clients, err = sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(s.dir, "clientele.db")})
	}
	s.journal = newJournal(s.js)
	s.t.Cleanup(s.close)
	return err
}

// close closes the connections of open.
func (s *system) close() {
	s.journal.stop()
	s.nc.Close()
	if s.clients != nil {
		_ = s.clients.Close()
	}
}

// subscriber receives each event that is published, including repetitions that the stream drops.
type subscriber struct {
	mu       sync.Mutex
	events   map[string][sha256.Size]byte // of the body, by client id
	repeated int
	unequal  []string
}

func (s *subscriber) hear(msg *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := msg.Header.Get("ce-subject")
	hash := sha256.Sum256([]byte(msg.Header.Get("ce-id") + msg.Header.Get("ce-time") + string(msg.Data)))
	before, ok := s.events[id]
	if ok {
		s.repeated++
	}
	if ok && before != hash {
		s.unequal = append(s.unequal, id)
	}
	s.events[id] = hash
}

// of returns the members with one of these roles.
func (s *system) of(roles ...string) []*member {
	var members []*member
	for _, m := range s.members {
		for _, role := range roles {
			if m.role() == role {
				members = append(members, m)
			}
		}
	}
	return members
}

// progress returns the last sequence of the command log, and the sequence up to which every command is acknowledged.
func (s *system) progress() (last, floor uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	stream, err := s.js.Stream(ctx, domain.StreamCommands)
	if err != nil {
		return 0, 0, err
	}
	c, err := s.js.Consumer(ctx, domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		return 0, 0, err
	}
	return stream.CachedInfo().State.LastSeq, c.CachedInfo().AckFloor.Stream, nil
}

// drained waits until every command that is on the log now is acknowledged. It reports whether that happens in time.
func (s *system) drained() bool {
	var mark uint64
	return testcluster.Within(time.Minute, func() bool {
		last, floor, err := s.progress()
		if err != nil {
			return false
		}
		if mark == 0 {
			mark = last
		}
		return floor >= mark
	})
}

// setClock shifts the clock of the member by a step.
func (m *member) setClock(step time.Duration) {
	m.t.Helper()
	if err := os.WriteFile(m.clock, []byte(step.String()), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// pause stops the processes for a while, like a machine that is suspended or overloaded.
func pause(d time.Duration, pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	<-time.After(d)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// written returns the output of all processes: Clientele's and the nats-servers'.
func (s *system) written() string {
	var all strings.Builder
	for _, m := range s.members {
		for _, p := range m.outputs {
			all.WriteString(p.Output())
		}
	}
	for _, server := range s.servers {
		for _, p := range append(server.Before, server.Process) {
			all.WriteString(p.Output())
		}
	}
	return all.String()
}
