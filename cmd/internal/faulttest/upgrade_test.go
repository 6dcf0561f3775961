//go:build faults

package faulttest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// previousRelease is the commit of release 0.1.
const previousRelease = "09ffe5b32948a2712b78615663ca0090fe401340"

// buildPrevious builds the previous release from git once, and returns its path.
func buildPrevious(t testing.TB) string {
	t.Helper()
	program, err := previous()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var previous = sync.OnceValues(func() (program string, err error) {
	dir := filepath.Join(testcluster.Programs, "previous")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	run := func(dir string, stdin []byte, name string, args ...string) (stdout []byte, err error) {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(stdin), os.Stderr
		return cmd.Output()
	}
	source, err := run("../../..", nil, "git", "archive", "--format=tar", previousRelease)
	if err != nil {
		return "", fmt.Errorf("the previous release is commit %s, which a shallow clone lacks: run git fetch --unshallow: %w", previousRelease, err)
	}
	if _, err := run(dir, source, "tar", "-x"); err != nil {
		return "", fmt.Errorf("unpack the previous release: %w", err)
	}
	program = filepath.Join(dir, "clientele")
	if _, err := run(dir, nil, "go", "build", "-o", program, "./cmd/clientele"); err != nil {
		return "", fmt.Errorf("build the previous release: %w", err)
	}
	return program, nil
})

// newerRules are the patches of a next release. It accepts longer names.
var newerRules = []patch{
	{"domain/rules.go", "const Rules = 1", "const Rules = 2"},
	{"domain/validate.go", "maxText  = 255", "maxText  = 300"},
}

// newer is a client that only the next release accepts.
var newer = strings.Replace(testcluster.Jane, "Smith", strings.Repeat("x", 300), 1)

// fleet is two ingresses and two workers under load.
type fleet struct {
	*testcluster.Cluster
	t       *testing.T
	traffic *testcluster.Traffic
	load    *balancer
	of      map[string][]*testcluster.Process // by role
}

func newFleet(t *testing.T, program string) *fleet {
	t.Helper()
	f := &fleet{Cluster: testcluster.NewOf(t, program), t: t, load: newBalancer(t), of: map[string][]*testcluster.Process{}}
	for range 2 {
		for _, role := range []string{"worker", "ingress"} {
			f.start(role, program)
		}
	}
	f.traffic = testcluster.NewTraffic(t, f.load.URL)
	f.step("started")
	return f
}

func (f *fleet) start(role, program string) {
	f.t.Helper()
	p := f.ClienteleOf(program, role)
	f.of[role] = append(f.of[role], p)
	if role == "ingress" {
		f.load.add(p.API())
	}
}

// replace replaces the processes of a role, one at a time.
func (f *fleet) replace(role, program string) {
	f.t.Helper()
	for _, old := range slices.Clone(f.of[role]) {
		f.start(role, program)
		f.step("started a new " + role)
		if role == "ingress" {
			f.load.remove(old.API())
		}
		old.Stop()
		f.of[role] = f.of[role][1:]
		f.step("stopped an old " + role)
	}
}

// step waits until more commands are accepted and all of those are processed, and checks that every process is ready. UPGRADE_COMMANDS is
// their number.
func (f *fleet) step(what string) {
	f.t.Helper()
	commands := 100
	if n, err := strconv.Atoi(os.Getenv("UPGRADE_COMMANDS")); err == nil {
		commands = n
	}
	f.traffic.AwaitAccepted(commands)
	f.processed()
	for _, p := range slices.Concat(f.of["ingress"], f.of["worker"]) {
		if !testcluster.Within(testcluster.Patience, p.IsReady) { // its checks have 2 s, on a busy machine
			f.t.Errorf("%s: a process is not ready", what)
		}
	}
}

// processed waits until the commands that are on the log now are processed.
func (f *fleet) processed() {
	f.t.Helper()
	log, err := f.JetStream.Stream(f.t.Context(), domain.StreamCommands)
	if err != nil {
		f.t.Fatal(err)
	}
	last := log.CachedInfo().State.LastSeq
	publishertest.Eventually(f.t, "the commands are processed", func() bool { return f.Consumer().AckFloor.Stream >= last })
}

// balancer is a load balancer in front of the ingresses.
type balancer struct {
	*httptest.Server
	mu   sync.RWMutex // locked for reading during a request
	apis []string
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	b := &balancer{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		api, err := url.Parse(b.apis[len(r.In.Header.Get("Idempotency-Key"))%len(b.apis)])
		if err != nil {
			t.Error(err)
		}
		r.SetURL(api)
	}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.RLock()
		defer b.mu.RUnlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *balancer) add(api string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apis = append(b.apis, api)
}

// remove returns when no request to the ingress is in progress.
func (b *balancer) remove(api string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apis = slices.DeleteFunc(b.apis, func(other string) bool { return other == api })
}

// TestUpgrade replaces a release by the next one under load, in the order of deploy/README.md, goes back, and upgrades again. Every
// accepted client is created once, and none is rejected.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	this := testcluster.Program(t, "clientele")
	for name, c := range map[string]struct{ from, to, body string }{
		"from the previous release":          {buildPrevious(t), this, testcluster.Jane},
		"to a next release with newer rules": {this, build(t, "clientele-next", newerRules...), newer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, c.from)
			f.Migrate(c.to)
			f.step("migrated")
			f.of["worker"][0].Kill() // a process of the old release can start again
			f.of["worker"] = f.of["worker"][1:]
			f.start("worker", c.from)
			f.replace("worker", c.to)
			f.replace("ingress", c.to)
			more := testcluster.NewTrafficOf(t, c.body, f.load.URL)
			more.AwaitAccepted(100)
			operations := more.Stop()

			f.replace("ingress", c.from)
			f.processed()
			f.replace("worker", c.from)

			f.Migrate(c.to)
			f.replace("worker", c.to)
			f.replace("ingress", c.to)
			f.Settled(f.load.URL, append(operations, f.traffic.Stop()...))
		})
	}
}

// TestUpgradeInTheWrongOrder upgrades the ingress before the worker. The worker leaves what the newer ingress accepted to a newer worker,
// and processes everything else.
func TestUpgradeInTheWrongOrder(t *testing.T) {
	t.Parallel()
	next := build(t, "clientele-next", newerRules...)
	s := testcluster.New(t)
	worker := s.Clientele("worker")
	this, newest := s.Clientele("ingress"), s.ClienteleOf(next, "ingress")
	waiting := testcluster.Accepted(t, newest.API(), newer, "")
	operations := append(testcluster.PostTwenty(t, this.API()), waiting)
	for _, operation := range operations[:20] {
		testcluster.Succeeded(t, this.API(), operation)
	}
	worker.Says("left commands to a newer worker")
	if n := testcluster.Metric(t, worker.Admin(), "clientele_worker_newer_commands_total"); n < 1 {
		t.Errorf("the metric is %v", n)
	}
	if op := testcluster.Get(t, this.API()+waiting).Object(t); op["status"] != "pending" {
		t.Errorf("%v", op)
	}
	s.ClienteleOf(next, "worker")
	s.Settled(this.API(), operations)
}

// TestUpgradeServe kills serve under load and starts another version in its data directory, there and back.
func TestUpgradeServe(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	before, this := buildPrevious(t), testcluster.Program(t, "clientele")
	created := map[string]string{} // records by operation
	for _, program := range []string{before, this, before, this} {
		serve := testcluster.ClienteleOf(t, program, nil, "serve", "--data-dir", dir)
		serve.Ready()
		for operation, record := range created {
			if got := testcluster.Succeeded(t, serve.API(), operation); record != "" && got != record {
				t.Errorf("%s: the record is %s, was %s", operation, got, record)
			} else {
				created[operation] = got
			}
		}
		for _, operation := range testcluster.PostTwenty(t, serve.API()) {
			created[operation] = ""
		}
		if program == this && len(created) == 80 {
			rejected := testcluster.Messages(t, serve.NATSURL(), domain.StreamRejections)
			if len(rejected) > 0 {
				t.Errorf("%d rejections, such as %s", len(rejected), rejected[0].Data)
			}
		}
		serve.Kill()
	}
}

// TestUpgradeOfANewInstallation checks that the previous release does not use an installation that this one created: it would remove the
// secret from which ids derive.
func TestUpgradeOfANewInstallation(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	for _, role := range []string{"migrate", "ingress", "worker"} {
		p := testcluster.ClienteleOf(t, buildPrevious(t), nil, role, s.Flags...)
		if status := p.Wait(); status != cli.ExitError || !strings.Contains(p.Output(), "newer than this program's 2") {
			t.Errorf("%s: exit status %d: %s", role, status, p.Output())
		}
	}
}
