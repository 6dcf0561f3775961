package systemtest

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/leader"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// replicas is three nats-servers that keep the streams, and a fourth server without streams. A proxy is between each pair of the three,
// so that a test can make one of them lag. The fourth server asks any of the three, and always reaches them.
type replicas struct {
	t        *testing.T
	servers  []*testcluster.NATSServer // the fourth is the last
	links    map[[2]int]*testcluster.Proxy
	database string
	js       jetstream.JetStream
}

var names = []string{"nats-1", "nats-2", "nats-3", "nats-4"}

// clusters has a value while a test has a cluster of NATS servers.
var clusters = make(chan struct{}, 1)

// awaitServers waits until no other test has a cluster: on two cores, the servers of several elect leaders too slowly.
func awaitServers(t *testing.T) {
	t.Helper()
	clusters <- struct{}{}
	t.Cleanup(func() { <-clusters })
}

func startReplicas(t *testing.T, copies int, migrate ...string) *replicas {
	t.Helper()
	awaitServers(t)
	s := &replicas{t: t, links: map[[2]int]*testcluster.Proxy{}, database: storetest.Postgres(t)}
	var addresses []string
	for range 4 {
		addresses = append(addresses, testcluster.FreeAddress(t))
	}
	for i, address := range addresses {
		var routes []string
		for j := range 3 {
			switch i {
			case j:
			case 3:
				routes = append(routes, "nats://"+addresses[j])
			default:
				s.links[[2]int{i, j}] = testcluster.NewProxy(t, "nats://"+addresses[j])
				routes = append(routes, s.links[[2]int{i, j}].Instead("nats://"+addresses[j]))
			}
		}
		// Servers tell each other about routes. With an address where nothing listens, they use those with a proxy only.
		s.start(i, `cluster { name: clientele, listen: "`+address+`", advertise: "127.0.0.1:1", no_advertise: true, routes: [`+strings.Join(routes, ", ")+`] }`)
	}
	var err error
	if s.js, err = jetstream.New(s.connect("operator", 3)); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the servers have a leader", func() bool {
		_, err := s.js.AccountInfo(t.Context())
		return err == nil
	})
	publishertest.Eventually(t, "a migration", func() bool {
		return testcluster.Clientele(t, "migrate", append(s.flags("operator", 3), append(migrate, fmt.Sprint("--replicas=", copies))...)...).Wait() == 0
	})
	return s
}

func (s *replicas) start(i int, cluster string) {
	s.t.Helper()
	main := map[string]string{`# include "cluster.conf"`: "server_name: " + names[i] + "\n" + cluster}
	if i == 3 { // without streams
		main["jetstream {"], main["sync_interval: always\n}"] = "# {", "# }"
	}
	all := map[string]string{}
	for _, role := range []string{"INGRESS", "WORKER", "OPERATOR", "MAILER", "FORWARD"} {
		all["$NATS_"+role+"_PASSWORD"] = testcluster.Password
	}
	s.servers = append(s.servers, testcluster.StartNATSServerWith(s.t, main, all))
}

// url returns the URL of a server for a role.
func (s *replicas) url(role string, server int) string {
	return strings.Replace(s.servers[server].URL, "://", "://"+role+":"+testcluster.Password+"@", 1)
}

// connect connects to a server as a role until the test ends.
func (s *replicas) connect(role string, server int) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.url(role, server), nats.Timeout(testcluster.Patience), nats.CustomInboxPrefix("_INBOX_"+role))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

func (s *replicas) flags(role string, server int) []string {
	return []string{"--nats-url", s.url(role, server), "--database-url", s.database}
}

// clientele starts a role that is connected to a server.
func (s *replicas) clientele(role string, server int) *testcluster.Process {
	s.t.Helper()
	p := testcluster.Clientele(s.t, role, s.flags(role, server)...)
	p.Ready()
	return p
}

// leader returns the server that leads a stream.
func (s *replicas) leader(stream string) (leader int) {
	s.t.Helper()
	publishertest.Eventually(s.t, "a leader", func() bool {
		info, err := s.js.Stream(s.t.Context(), stream)
		if err != nil {
			return false
		}
		leader = slices.Index(names, info.CachedInfo().Cluster.Leader)
		return leader >= 0
	})
	return leader
}

// follower returns a server that leads neither commands, nor rejections, nor the consumer of the workers.
func (s *replicas) follower() (follower int) {
	s.t.Helper()
	publishertest.Eventually(s.t, "a server that leads nothing", func() bool {
		consumer, err := s.js.Consumer(s.t.Context(), domain.StreamCommands, domain.ConsumerWorker)
		if err != nil || consumer.CachedInfo().Cluster.Leader == "" {
			return false
		}
		leaders := []string{names[s.leader(domain.StreamCommands)], names[s.leader(domain.StreamRejections)], consumer.CachedInfo().Cluster.Leader}
		follower = slices.IndexFunc(names, func(name string) bool { return !slices.Contains(leaders, name) })
		if follower > 2 { // each of the three leads something
			_, err = s.js.Conn().Request("$JS.API.CONSUMER.LEADER.STEPDOWN."+domain.StreamCommands+"."+domain.ConsumerWorker, nil, time.Second)
		}
		return err == nil && follower <= 2
	})
	return follower
}

// isolate cuts a server off from the two others. It waits until the server answers look-ups, which a follower does from 2 s after it has
// the stream.
func (s *replicas) isolate(server int) {
	s.t.Helper()
	nc := s.connect("operator", server)
	publishertest.Eventually(s.t, "a follower answers look-ups", func() bool {
		s.between(server, (*testcluster.Proxy).Lose)
		_, err := nc.Request("$JS.API.DIRECT.GET."+domain.StreamRejections+"."+domain.SubjectRejected+"none", nil, 300*time.Millisecond)
		if err == nil {
			_, err = nc.Request("$JS.API.DIRECT.GET."+domain.StreamCommands+"."+domain.SubjectCreate+"none", nil, 300*time.Millisecond)
		}
		if err != nil {
			s.between(server, (*testcluster.Proxy).Heal)
		}
		return err == nil
	})
}

// between calls f with the proxies between a server and the two others.
func (s *replicas) between(server int, f func(*testcluster.Proxy)) {
	for pair, link := range s.links {
		if pair[0] == server || pair[1] == server {
			f(link)
		}
	}
}

// A server that is behind the others answers look-ups. Whatever server answers, a command that was accepted is found at once, and its
// retry is accepted.
func TestAServerIsBehind(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 3)
	behind := s.follower()
	ingress := s.clientele("ingress", 3)
	s.isolate(behind)
	for range 15 {
		key := publishertest.NewID(t).String()
		first := testcluster.Post(t, ingress.API(), testcluster.Jane, key)
		again := testcluster.Post(t, ingress.API(), testcluster.Jane, key)
		if first.Status != http.StatusAccepted || again.Status != http.StatusAccepted || again.Operation() != first.Operation() {
			t.Fatalf("a request: %d %s; its retry: %d %s", first.Status, first.Body, again.Status, again.Body)
		}
		id := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
		if r := testcluster.Get(t, ingress.API()+id); r.Status != http.StatusOK {
			t.Fatalf("the operation of an accepted request: %d %s", r.Status, r.Body)
		}
	}
	if r := testcluster.Get(t, ingress.API()+"/api/v2/operations/"+publishertest.NewID(t).String()); r.Status != http.StatusNotFound {
		t.Errorf("an operation that does not exist: %d %s", r.Status, r.Body)
	}
}

// A rejection is found when its command is no longer on the log, whatever server answers.
func TestAServerIsBehindWithRejections(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 3)
	behind := s.follower()
	ingress := s.clientele("ingress", 3)
	s.isolate(behind)
	worker := s.connect("worker", 3)
	for range 15 {
		id := publishertest.NewID(t).String()
		s.reject(worker, domain.Rejection{ID: id, Reason: domain.CodeInvalid, RejectedAt: time.Now()})
		if r := testcluster.Get(t, ingress.API()+"/api/v2/operations/"+id); r.Status != http.StatusOK || r.Object(t)["status"] != "rejected" {
			t.Fatalf("the operation of a rejected command: %d %s", r.Status, r.Body)
		}
	}
}

// A server that is cut off from the others still answers look-ups, with what it had. An ingress that reaches only that server does not
// say that an operation does not exist.
func TestAServerIsCutOff(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 3)
	cut := s.follower()
	inside, outside := s.clientele("ingress", 3), s.clientele("ingress", cut)
	known := testcluster.Accepted(t, outside.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "the command on every server", func() bool {
		return testcluster.Get(t, outside.API()+known).Status == http.StatusOK
	})
	s.isolate(cut)
	operation := testcluster.Accepted(t, inside.API(), testcluster.Jane, "key")
	publishertest.Eventually(t, "an operation that the server knows", func() bool { // 503 while it has no leader
		return testcluster.Get(t, outside.API()+known).Status == http.StatusOK
	})
	for _, look := range []string{operation, "/api/v2/operations/" + publishertest.NewID(t).String()} {
		if r := testcluster.Get(t, outside.API()+look); r.Status != http.StatusServiceUnavailable {
			t.Errorf("an operation that the server does not know: %d %s", r.Status, r.Body)
		}
	}
	if r := testcluster.Post(t, outside.API(), testcluster.Jane, "key"); r.Status != http.StatusServiceUnavailable {
		t.Errorf("a retry: %d %s", r.Status, r.Body)
	}
	s.between(cut, (*testcluster.Proxy).Heal)
	publishertest.Eventually(t, "the operation on every server", func() bool {
		return testcluster.Get(t, outside.API()+operation).Status == http.StatusOK
	})
	if r := testcluster.Post(t, outside.API(), testcluster.Jane, "key"); path.Base(r.Operation()) != path.Base(operation) {
		t.Errorf("a retry: %d %s", r.Status, r.Body)
	}
}

// A full log refuses new commands. The retry of a command that it has is accepted, whatever server answers.
func TestAFullLogOfThreeServers(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 3, "--log-max-bytes=1048576")
	behind := s.follower()
	ingress := s.clientele("ingress", 3)
	s.isolate(behind)
	var accepted []string
	for {
		key := publishertest.NewID(t).String()
		r := testcluster.Post(t, ingress.API(), testcluster.Full, key)
		if r.Status == http.StatusServiceUnavailable && r.Object(t)["type"] != "/problems/log-full" {
			continue // a server was late
		}
		if r.Status != http.StatusAccepted {
			break
		}
		accepted = append(accepted, key)
	}
	full := func(key string) {
		t.Helper()
		if r := testcluster.Post(t, ingress.API(), testcluster.Full, key); r.Status != http.StatusServiceUnavailable || r.Object(t)["type"] != "/problems/log-full" {
			t.Errorf("a new command: %d %s", r.Status, r.Body)
		}
	}
	for _, key := range accepted[len(accepted)-15:] {
		if r := testcluster.Post(t, ingress.API(), testcluster.Full, key); r.Status != http.StatusAccepted {
			t.Errorf("a retry: %d %s", r.Status, r.Body)
		}
		full(publishertest.NewID(t).String())
	}
	full("")
	if r := testcluster.Post(t, ingress.API(), testcluster.Jane, accepted[0]); r.Status != http.StatusUnprocessableEntity {
		t.Errorf("another request under a used key: %d %s", r.Status, r.Body)
	}
}

// A rejected command that is still in progress is neither retried nor dropped, whatever server answers.
func TestAnOperatorWhileAServerIsBehind(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 3)
	behind := s.follower()
	ingress, operator, worker := s.clientele("ingress", 3), s.connect("operator", 3), s.connect("worker", 3)
	rejections, err := publisher.OpenRejections(t.Context(), operator)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := s.js.Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := publisher.OpenAdmin(t.Context(), operator)
	if err != nil {
		t.Fatal(err)
	}
	s.isolate(behind)
	for range 15 {
		id := path.Base(testcluster.Accepted(t, ingress.API(), testcluster.Jane, ""))
		if pending, err := admin.Pending(t.Context(), uuid.MustParse(id)); err != nil || !pending {
			t.Errorf("pending: %v, %v", pending, err)
		}
		command, err := leader.Last(t.Context(), s.js, commands, domain.SubjectCreate+id)
		if err != nil {
			t.Fatal(err)
		}
		s.reject(worker, domain.Rejection{ID: id, Reason: domain.CodeInvalid, RejectedAt: time.Now(), Command: domain.RejectedCommand{
			Sequence: command.Sequence, Headers: command.Header, Body: command.Data,
		}})
		rejection, err := rejections.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for name, act := range map[string]func(context.Context, publisher.StoredRejection) error{"retry": rejections.Retry, "drop": rejections.Drop} {
			if err := act(t.Context(), rejection); err == nil || !strings.Contains(err.Error(), "in progress") || strings.Contains(err.Error(), "later") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// reject publishes a rejection as a worker does.
func (s *replicas) reject(worker *nats.Conn, rejection domain.Rejection) {
	s.t.Helper()
	body, err := rejection.JSON()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), testcluster.Patience)
	defer cancel()
	ack, err := worker.RequestWithContext(ctx, domain.SubjectRejected+rejection.ID, body)
	if err != nil || strings.Contains(string(ack.Data), "error") {
		s.t.Fatal(err, ack)
	}
}

// On a cluster, streams on one server are reported at the start.
func TestStreamsOnOneServerOfACluster(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 1)
	const warning = "the streams are on one server of the NATS cluster"
	for _, role := range []string{"ingress", "worker"} {
		s.clientele(role, 3).Says(warning)
	}
	publishertest.Eventually(t, "a migration", func() bool { // the audit trail elects a leader among the new servers
		migrate := testcluster.Clientele(t, "migrate", append(s.flags("operator", 3), "--replicas=3")...)
		status := migrate.Wait()
		if strings.Contains(migrate.Output(), warning) {
			t.Errorf("%d: %s", status, migrate.Output())
		}
		return status == 0
	})
	publishertest.Eventually(t, "three servers with the streams", func() bool {
		ingress := s.clientele("ingress", 3)
		defer ingress.Stop()
		return !strings.Contains(ingress.Output(), warning)
	})
}

// The history stays on the log, whatever server answers where it begins.
func TestTrimWhileAServerIsBehind(t *testing.T) {
	t.Parallel()
	s := startReplicas(t, 3)
	behind := s.follower()
	ingress := s.clientele("ingress", 3)
	s.isolate(behind)
	s.clientele("worker", 3)
	for range 10 {
		testcluster.Succeeded(t, ingress.API(), testcluster.Accepted(t, ingress.API(), testcluster.Jane, ""))
	}
	nc := s.connect("worker", 3)
	var worker *consumer.Worker
	publishertest.Eventually(t, "a look at the consumer", func() bool { // a leader may be elected, here and below
		var err error
		worker, err = consumer.New(t.Context(), consumer.Config{Conn: nc, History: time.Hour, Log: zerolog.Nop()})
		return err == nil
	})
	for range 15 {
		publishertest.Eventually(t, "a look at the log", func() bool { return worker.Trim(t.Context()) == nil })
	}
	publishertest.Eventually(t, "all commands are on the log", func() bool { // until it resigns, a leader that was cut off has none
		log, err := s.js.Stream(t.Context(), domain.StreamCommands)
		return err == nil && log.CachedInfo().State.Msgs == 10
	})
}
