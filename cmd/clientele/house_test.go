package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// buildFlags are how tests build the program: with the race detector if the tests have it.
var buildFlags []string

// programs is the directory of the programs that tests build.
var programs string

func TestMain(m *testing.M) {
	// A connection that was made in advance and carried nothing is closed by the server after the 5 s that it gives a header:
	// never use one that is about to be.
	http.DefaultTransport.(*http.Transport).IdleConnTimeout = 4 * time.Second
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "clientele-test-"); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(programs) }()
		// They wait for processes more than they compute, so more of them than there are CPUs run at once. The command line
		// is read later, and has the last word.
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
		return storetest.Main(m)
	}())
}

// program builds a program once, and returns its path.
func program(t testing.TB, name string) string {
	t.Helper()
	build := map[string]func() error{"clientele": buildClientele, "nats-server": buildNATSServer}[name]
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(programs, name)
}

var (
	buildClientele = sync.OnceValue(func() error {
		return goBuild("clientele", "clientele/cmd/clientele", buildFlags...)
	})
	buildNATSServer = sync.OnceValue(func() error {
		return goBuild("nats-server", "github.com/nats-io/nats-server/v2")
	})
)

func goBuild(name, pkg string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", filepath.Join(programs, name)}, flags...), pkg)...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// proc is a process of a test. It is killed when the test ends.
type proc struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer // what it wrote to standard output and standard error
}

// Write takes the output of the process.
func (p *proc) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *proc) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start starts a program.
func start(t testing.TB, path string, args ...string) *proc {
	t.Helper()
	return startWith(t, nil, path, args...)
}

func startWith(t testing.TB, environment []string, path string, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			const most = 8 << 10
			output := p.output()
			t.Logf("%s %v:\n%s", filepath.Base(path), args, output[max(0, len(output)-most):])
		}
	})
	return p
}

// kill kills the process and waits for its end.
func (p *proc) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *proc) signal(signal os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the end of the process and returns its exit status, -1 if a signal ended it.
func (p *proc) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%v has not ended", p.cmd.Args)
		return 0
	}
}

// stop asks the process to stop and checks that it does so in good order.
func (p *proc) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if status := p.wait(); status != 0 {
		p.t.Errorf("exit status %d", status)
	}
}

// says waits until the output of the process matches the expression, and returns the last submatch.
func (p *proc) says(expression string) string {
	p.t.Helper()
	re := regexp.MustCompile(expression)
	var match []string
	publishertest.Eventually(p.t, "output "+expression, func() bool {
		ended := p.ended()
		match = re.FindStringSubmatch(p.output())
		if ended && match == nil {
			p.t.Fatalf("%v ended without saying %s", p.cmd.Args, expression)
		}
		return match != nil
	})
	return match[len(match)-1]
}

// ended says whether the process has ended.
func (p *proc) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// api and admin are where the process listens.
func (p *proc) api() string {
	p.t.Helper()
	return "http://" + p.says(`"address":"([^"]*)","time":"[^"]*","message":"listening for --listen"`)
}

func (p *proc) admin() string {
	p.t.Helper()
	return "http://" + p.says(adminListens)
}

const adminListens = `"address":"([^"]*)","time":"[^"]*","message":"listening for --admin-listen"`

// ready waits until the process says that it is ready.
func (p *proc) ready() {
	p.t.Helper()
	publishertest.Eventually(p.t, "readiness", func() bool { return get(p.t, p.admin()+"/readyz").status == http.StatusOK })
}

// clientele starts the program under test on free ports.
func clientele(t testing.TB, command string, args ...string) *proc {
	t.Helper()
	return clienteleWith(t, nil, command, args...)
}

func clienteleWith(t testing.TB, environment []string, command string, args ...string) *proc {
	t.Helper()
	fixed := map[string][]string{
		"serve":   {"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--nats-listen=127.0.0.1:0"},
		"ingress": {"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"},
		"worker":  {"--admin-listen=127.0.0.1:0"},
	}[command]
	args = slices.Concat([]string{command, "--log-format=json"}, fixed, args)
	return startWith(t, environment, program(t, "clientele"), args...)
}

// natsServer is a nats-server process with the configuration that deploy has for it.
type natsServer struct {
	*proc
	url    string
	config string
	data   string  // its directory
	before []*proc // that the server was until it was restarted
}

func startNATSServer(t testing.TB) *natsServer {
	t.Helper()
	return startNATSServerWith(t, map[string]string{`include "users.conf"`: ""}, nil)
}

// startNATSServerWith starts a server with the files of deploy/nats, changed: nats.conf as main says, all of them as all says.
func startNATSServerWith(t testing.TB, main, all map[string]string) *natsServer {
	t.Helper()
	dir := t.TempDir()
	s := &natsServer{config: filepath.Join(dir, "nats.conf"), data: t.TempDir()}
	ours := map[string]string{"/data": s.data, "127.0.0.1:8222": "127.0.0.1:-1", "0.0.0.0:4222": "127.0.0.1:-1"}
	maps.Copy(ours, main)
	for _, name := range []string{"nats.conf", "users.conf", "tls.conf"} {
		deployed, err := os.ReadFile(filepath.Join("../../deploy/nats", name))
		if err != nil {
			t.Fatal(err)
		}
		config := string(deployed)
		if name == "nats.conf" {
			for old, ours := range ours {
				if !strings.Contains(config, old) {
					t.Fatalf("nats.conf does not say %s", old)
				}
				config = strings.ReplaceAll(config, old, ours)
			}
		}
		for old, ours := range all {
			config = strings.ReplaceAll(config, old, ours)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	return s
}

func (s *natsServer) start(t testing.TB, args ...string) {
	t.Helper()
	if s.proc != nil {
		s.before = append(s.before, s.proc)
	}
	s.proc = start(t, program(t, "nats-server"), append([]string{"--config", s.config}, args...)...)
	s.url = "nats://" + s.says(`Listening for client connections on (\S+)`)
	s.says("Server is ready")
}

// restart starts the server again after its end, at the same address.
func (s *natsServer) restart(t testing.TB) {
	t.Helper()
	s.start(t, "--port", s.url[strings.LastIndex(s.url, ":")+1:])
}

// reply is an answer to an HTTP request.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) object(t testing.TB) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.body), &object); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return object
}

func get(t testing.TB, url string) reply {
	t.Helper()
	return do(t, http.MethodGet, url, "", "")
}

// post sends a create-client request, with an idempotency key unless that is "".
func post(t testing.TB, api, body, key string) reply {
	t.Helper()
	return do(t, http.MethodPost, api+"/api/v2/clients", body, key)
}

func do(t testing.TB, method, url, body, key string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := roundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func roundTrip(r *http.Request) (reply, error) {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}, err
}

// accepted posts a client and returns the path of its operation.
func accepted(t testing.TB, api, body, key string) (operation string) {
	t.Helper()
	r := post(t, api, body, key)
	if r.status != http.StatusAccepted {
		t.Fatalf("%d: %s", r.status, r.body)
	}
	return r.header.Get("Location")
}

// succeeded waits for the operation to succeed and returns the record of its client.
func succeeded(t testing.TB, api, operation string) (record string) {
	t.Helper()
	var last reply
	publishertest.Eventually(t, "operation succeeds", func() bool {
		last = get(t, api+operation)
		return last.status == http.StatusOK && last.object(t)["status"] == "succeeded"
	})
	links := last.object(t)["links"].(map[string]any)
	client := get(t, api+links["client"].(string))
	if client.status != http.StatusOK {
		t.Fatalf("%d: %s", client.status, client.body)
	}
	return client.body
}

// events returns all client.created events that are on the stream, by client id.
func events(t testing.TB, url string) map[string][]*jetstream.RawStreamMsg {
	t.Helper()
	events := map[string][]*jetstream.RawStreamMsg{}
	for _, msg := range messages(t, url, domain.StreamEvents) {
		id := msg.Header.Get("ce-subject")
		events[id] = append(events[id], msg)
	}
	return events
}

// messages returns what is on a stream.
func messages(t testing.TB, url, name string) []*jetstream.RawStreamMsg {
	t.Helper()
	js := jetStream(t, url)
	stream, err := js.Stream(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	var msgs []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		if msg, err := stream.GetMsg(context.Background(), seq); err == nil {
			msgs = append(msgs, msg)
		}
	}
	return msgs
}

func jetStream(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// watch collects every event that is published from now on, by client id, until the function that it returns is called.
func watch(t testing.TB, url string) (published func() map[string][]*nats.Msg) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var mu sync.Mutex
	msgs := map[string][]*nats.Msg{}
	if _, err := nc.Subscribe(domain.SubjectCreated, func(msg *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		id := msg.Header.Get("ce-subject")
		msgs[id] = append(msgs[id], msg)
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() map[string][]*nats.Msg {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(msgs)
	}
}

// freeAddress returns an address that nothing listens on, for a process that is to be found there after a restart, too.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// patience is how long a test waits for a message.
const patience = 15 * time.Second
