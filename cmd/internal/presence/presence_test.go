package presence_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"clientele/cmd/internal/presence"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// ready is a process that can do its work.
func ready(context.Context) (bool, []string) { return true, nil }

// announce announces a process until the test or stop ends it.
func announce(t *testing.T, cfg presence.Config) (stop func()) {
	t.Helper()
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { presence.Announce(ctx, cfg) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func listen(t *testing.T, nc *nats.Conn) *presence.Listener {
	t.Helper()
	l, err := presence.Listen(nc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// processes returns the live processes as text.
func processes(t *testing.T, l *presence.Listener) (live []string) {
	t.Helper()
	found, _, err := l.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		live = append(live, fmt.Sprintf("%s %s ready=%v %q", p.Role, p.Version, p.Ready, p.Reasons))
	}
	return live
}

func TestLiveProcessesAreListed(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	announce(t, presence.Config{Conn: s.Connect(t), Role: presence.Worker, Version: "2", Ready: ready})
	announce(t, presence.Config{Conn: s.Connect(t), Role: presence.Forward, Version: "1", Ready: ready})
	stop := announce(t, presence.Config{Conn: s.Connect(t), Role: presence.Ingress, Version: "1", Ready: func(context.Context) (bool, []string) {
		return false, []string{"command log: down"}
	}})
	l := listen(t, s.Connect(t))
	want := []string{"forward 1 ready=true []", `ingress 1 ready=false ["command log: down"]`, "worker 2 ready=true []"}
	publishertest.Eventually(t, "all are listed", func() bool { return slices.Equal(processes(t, l), want) })

	found, _, err := l.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, p := range found {
		if p.Host != host || time.Since(p.Started) > time.Minute || p.ID == "" || ids[p.ID] {
			t.Errorf("%+v", p)
		}
		ids[p.ID] = true
	}
	stop()
	publishertest.Eventually(t, "a process that has stopped is gone", func() bool { return slices.Equal(processes(t, l), []string{want[0], want[2]}) })
}

// A look that has heard no process waits a little longer for the first one.
func TestAProcessIsLate(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	late, l := s.Connect(t), listen(t, s.Connect(t))
	time.AfterFunc(1600*time.Millisecond, func() { _ = late.Publish("presence.worker", []byte(`{"id":"a","version":"1"}`)) })
	if live := processes(t, l); len(live) != 1 {
		t.Errorf("%q", live)
	}
}

func TestAProcessThatDiesIsForgotten(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	nc := s.Connect(t)
	announce(t, presence.Config{Conn: nc, Role: presence.Worker, Ready: ready})
	l := listen(t, s.Connect(t))
	publishertest.Eventually(t, "it is listed", func() bool { return len(processes(t, l)) == 1 })
	nc.Close()
	publishertest.Eventually(t, "it is forgotten", func() bool { return len(processes(t, l)) == 0 })
}

func TestReadinessChanges(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	var broken atomic.Bool
	announce(t, presence.Config{Conn: s.Connect(t), Role: presence.Worker, Ready: func(context.Context) (bool, []string) {
		if broken.Load() {
			return false, []string{"database: down"}
		}
		return true, nil
	}})
	l := listen(t, s.Connect(t))
	for _, want := range []bool{true, false, true} {
		broken.Store(!want)
		publishertest.Eventually(t, fmt.Sprint("it is announced as ready: ", want), func() bool {
			found, _, err := l.Processes(t.Context())
			return err == nil && len(found) == 1 && found[0].Ready == want && (len(found[0].Reasons) == 0) == want
		})
	}
}

// While a dependency hangs, a process is seen nevertheless.
func TestReadinessThatHangsDelaysNothing(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	nc := s.Connect(t)
	var announcements, looks atomic.Int32
	if _, err := nc.Subscribe("presence.worker", func(*nats.Msg) { announcements.Add(1) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	announce(t, presence.Config{Conn: s.Connect(t), Role: presence.Worker, Ready: func(ctx context.Context) (bool, []string) {
		if looks.Add(1) > 1 {
			<-ctx.Done()
		}
		return true, nil
	}})
	publishertest.Eventually(t, "it is announced again and again", func() bool { return announcements.Load() >= 4 })
	if n := looks.Load(); n != 2 {
		t.Errorf("%d looks, want a first one and one that hangs", n)
	}
}

// What another program publishes harms no list.
func TestAnnouncementsOfOthers(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	announce(t, presence.Config{Conn: s.Connect(t), Role: presence.Ingress, Version: "1", Ready: ready})
	nc := s.Connect(t)
	l := listen(t, nc)
	publishertest.Eventually(t, "the ingress is listed", func() bool { return len(processes(t, l)) == 1 })
	found, _, err := l.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publish := func(subject, body string) {
		t.Helper()
		if err := nc.Publish(subject, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	publishertest.Eventually(t, "what is an announcement is listed, within limits", func() bool {
		// A worker can end and replace no ingress, and cannot be one.
		publish("presence.worker", fmt.Sprintf(`{"id":%q,"ended":true}`, found[0].ID))
		publish("presence.worker", fmt.Sprintf(`{"id":%q,"role":"ingress","version":"9","newer":1}`, found[0].ID))
		for _, body := range []string{"", "x", "{}", `{"id":1}`, `{"id":"a","version":"` + strings.Repeat("x", 17_000) + `"}`} {
			publish("presence.serve", body)
		}
		for i := range 600 {
			publish("presence.forward", fmt.Sprintf(`{"id":"%d","version":"9"}`, i))
		}
		live := processes(t, l)
		others := slices.DeleteFunc(slices.Clone(live), func(p string) bool { return strings.HasPrefix(p, "forward 9") })
		return len(live)-len(others) == 500 && slices.Equal(others, []string{"ingress 1 ready=true []", "worker 9 ready=false []"})
	})
	publishertest.Eventually(t, "a flood is forgotten", func() bool { return slices.Equal(processes(t, l), []string{"ingress 1 ready=true []"}) })
}

func TestAnnouncementsAreBounded(t *testing.T) {
	t.Parallel()
	s := publishertest.Start(t)
	announce(t, presence.Config{Conn: s.Connect(t), Role: presence.Worker, Version: strings.Repeat("é", 10_000), Ready: func(context.Context) (bool, []string) {
		return false, slices.Repeat([]string{"\xff" + strings.Repeat("\x01", 10_000)}, 100)
	}})
	l := listen(t, s.Connect(t))
	publishertest.Eventually(t, "it is listed", func() bool {
		found, _, err := l.Processes(t.Context())
		if err != nil || len(found) == 0 {
			return false
		}
		p := found[0]
		if len(p.Reasons) != 4 || utf8.RuneCountInString(p.Reasons[0]) != 200 || utf8.RuneCountInString(p.Version) != 200 || !strings.HasSuffix(p.Version, "é…") {
			t.Fatalf("%+v", p)
		}
		return true
	})
}

// restricted starts a server whose users lack the rights to announce and to listen.
func restricted(t *testing.T) (connect func(user string) (nc *nats.Conn, reported func() int)) {
	t.Helper()
	users := []*server.User{
		{Username: "silent", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"presence.>", "other"}}}},
		{Username: "deaf", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"presence.>", "other"}}}},
	}
	for _, u := range users {
		u.Password = "password-of-a-test"
	}
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Users: users})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("NATS is not ready after a minute")
	}
	return func(user string) (*nats.Conn, func() int) {
		var errs atomic.Int32
		nc, err := nats.Connect(srv.ClientURL(), nats.UserInfo(user, "password-of-a-test"), nats.Timeout(20*time.Second),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { errs.Add(1) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc, func() int { return int(errs.Load()) }
	}
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// An accounts.conf of an earlier version has no right to announce and to listen. A process would end, and a command fail, by the
// handler of the connection.
func TestWithoutTheRights(t *testing.T) {
	t.Parallel()
	connect := restricted(t)
	silent, reported := connect("silent")
	log := &buffer{}
	announce(t, presence.Config{Conn: silent, Role: presence.Worker, Ready: ready, Log: zerolog.New(log)})
	publishertest.Eventually(t, "the process says so", func() bool { return strings.Contains(log.String(), "load accounts.conf") })
	if err := silent.Publish("other", nil); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "another refusal is reported", func() bool { return reported() > 0 })
	if n := strings.Count(log.String(), "\n"); reported() != 1 || n != 1 {
		t.Errorf("%d refusals are reported, %d lines logged: %s", reported(), n, log)
	}

	deaf, reported := connect("deaf")
	l := listen(t, deaf)
	publishertest.Eventually(t, "the list is an error", func() bool {
		found, _, err := l.Processes(t.Context())
		return err != nil && found != nil && len(found) == 0
	})
	if _, err := deaf.SubscribeSync("other"); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "another refusal is reported", func() bool { return reported() > 0 })
	if reported() != 1 {
		t.Errorf("%d refusals are reported", reported())
	}
}

// What the server refuses can be learned after the end of a process, whose last words say why it has ended.
func TestNothingIsReportedAfterTheEnd(t *testing.T) {
	t.Parallel()
	silent, reported := restricted(t)("silent")
	log := &buffer{}
	announce(t, presence.Config{Conn: silent, Role: presence.Worker, Ready: ready, Log: zerolog.New(log)})()
	before := log.String()
	if err := silent.Publish("other", nil); err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "a later refusal is reported", func() bool { return reported() > 0 })
	if log.String() != before {
		t.Errorf("after the end: %s", log)
	}
}
