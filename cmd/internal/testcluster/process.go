package testcluster

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"clientele/publisher/publishertest"
	"clientele/store/storetest"
)

// IsReady reports whether /readyz of the process answers 200.
func (p *Process) IsReady() bool {
	match := regexp.MustCompile(adminListens).FindStringSubmatch(p.Output())
	if match == nil {
		return false
	}
	r, err := TryGet("http://" + match[1] + "/readyz")
	return err == nil && r.Status == http.StatusOK
}

// Within waits until the condition is true. It reports whether that happens in time.
func Within(d time.Duration, condition func() bool) bool {
	deadline := time.After(d)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
	return true
}

// Process is a process of a test. It is killed when the test ends.
type Process struct {
	T    testing.TB
	Cmd  *exec.Cmd
	Done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer // standard output and standard error
}

// Write adds to the output of the process.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Output returns what the process has written so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Start starts a program.
func Start(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	return StartWith(t, nil, path, args...)
}

// StartWith is Start with additional environment variables.
func StartWith(t testing.TB, environment []string, path string, args ...string) *Process {
	t.Helper()
	return startOn(t, nil, environment, path, args...)
}

// Start starts a program on the host, with additional environment variables.
func (h *Host) Start(t testing.TB, environment []string, path string, args ...string) *Process {
	t.Helper()
	return startOn(t, h, environment, path, args...)
}

// startOn is StartWith on a host, or on this machine.
func startOn(t testing.TB, host *Host, environment []string, path string, args ...string) *Process {
	t.Helper()
	p := &Process{T: t, Cmd: exec.Command(path, args...), Done: make(chan struct{})}
	p.Cmd.Env = append(os.Environ(), environment...)
	p.Cmd.Stdout, p.Cmd.Stderr = p, p
	if err := host.run(p.Cmd.Start); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Cmd.Wait()
		close(p.Done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			const most = 8 << 10
			output := p.Output()
			t.Logf("%s %v:\n%s", filepath.Base(path), args, output[max(0, len(output)-most):])
		}
	})
	return p
}

// Kill kills the process and waits for its end.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.Done
}

// Signal sends a signal to the process. After SIGSTOP it waits until the process has stopped, because the kernel stops it with a delay
// and the process may still answer.
func (p *Process) Signal(signal os.Signal) {
	p.T.Helper()
	if err := p.Cmd.Process.Signal(signal); err != nil {
		p.T.Fatal(err)
	}
	if signal == syscall.SIGSTOP {
		publishertest.Eventually(p.T, "the process stops", p.stopped)
	}
}

// stopped reports whether no thread of the process runs. On systems without /proc it returns true.
func (p *Process) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Cmd.Process.Pid))
	if err != nil {
		p.T.Fatal(err)
	}
	return !slices.ContainsFunc(threads, func(thread string) bool {
		stat, err := os.ReadFile(thread)
		// The state follows the name in parentheses, which may have spaces (proc(5)).
		return err == nil && !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" T"))
	})
}

// Wait waits for the end of the process and returns its exit status, -1 if a signal ended it.
func (p *Process) Wait() int {
	p.T.Helper()
	select {
	case <-p.Done:
		return p.Cmd.ProcessState.ExitCode()
	case <-time.After(2 * time.Minute):
		p.T.Fatalf("%v has not ended", p.Cmd.Args)
		return 0
	}
}

// Stop sends SIGTERM and checks that the process exits with status 0.
func (p *Process) Stop() {
	p.T.Helper()
	p.Signal(syscall.SIGTERM)
	if status := p.Wait(); status != 0 {
		p.T.Errorf("exit status %d", status)
	}
}

// Says waits until the output of the process matches the expression, and returns the last submatch.
func (p *Process) Says(expression string) string {
	p.T.Helper()
	re := regexp.MustCompile(expression)
	var match []string
	publishertest.Eventually(p.T, "output "+expression, func() bool {
		ended := p.Ended()
		match = re.FindStringSubmatch(p.Output())
		if ended && match == nil {
			p.T.Fatalf("%v ended without saying %s", p.Cmd.Args, expression)
		}
		return match != nil
	})
	return match[len(match)-1]
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// API returns the URL of the API.
func (p *Process) API() string {
	p.T.Helper()
	return "http://" + p.Says(`"address":"([^"]*)","time":"[^"]*","message":"serving the API"`)
}

// Console returns the URL of the console.
func (p *Process) Console() string {
	p.T.Helper()
	return "http://" + p.Says(`"address":"([^"]*)","time":"[^"]*","message":"serving the console"`)
}

// NATSURL returns the URL of the NATS inside serve, with user and password, when serve accepts clients.
func (p *Process) NATSURL() string {
	p.T.Helper()
	url, err := os.ReadFile(p.Says(`export NATS_URL=\$\(cat (\S+)\)`))
	if err != nil {
		p.T.Fatal(err)
	}
	return strings.TrimSpace(string(url))
}

// Admin returns the URL of the admin listener.
func (p *Process) Admin() string {
	p.T.Helper()
	return "http://" + p.Says(adminListens)
}

const adminListens = `"address":"([^"]*)","time":"[^"]*","message":"serving the admin endpoints"`

// Ready waits until the process is ready.
func (p *Process) Ready() {
	p.T.Helper()
	publishertest.Eventually(p.T, "readiness", func() bool { return Get(p.T, p.Admin()+"/readyz").Status == http.StatusOK })
}

// Clientele starts the program under test on free ports.
func Clientele(t testing.TB, command string, args ...string) *Process {
	t.Helper()
	return ClienteleWith(t, nil, command, args...)
}

// ClienteleWith is Clientele with additional environment variables.
func ClienteleWith(t testing.TB, environment []string, command string, args ...string) *Process {
	t.Helper()
	return ClienteleOf(t, Program(t, "clientele"), environment, command, args...)
}

// ClienteleOf is ClienteleWith for a clientele of another version.
func ClienteleOf(t testing.TB, program string, environment []string, command string, args ...string) *Process {
	t.Helper()
	fixed := map[string][]string{
		"serve":   {"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--nats-listen=127.0.0.1:0"},
		"ingress": {"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"},
		"worker":  {"--admin-listen=127.0.0.1:0"},
		"forward": {"--admin-listen=127.0.0.1:0"},
	}[command]
	args = slices.Concat([]string{command, "--log-format=json"}, fixed, args)
	return StartWith(t, environment, program, args...)
}

// FreeAddress returns an address that nothing listens on, for a process that must keep its address after a restart.
func FreeAddress(t testing.TB) string {
	t.Helper()
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// PID returns the process id.
func (p *Process) PID() int { return p.Cmd.Process.Pid }
