package systemtest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
)

// terminalScreen collects the output of a terminal.
type terminalScreen struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (s *terminalScreen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *terminalScreen) shows(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.out.Bytes(), []byte(text))
}

func (s *terminalScreen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// TestBashCompletes types into a bash that has completion installed as documented.
func TestBashCompletes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"clients.csv", "my file.csv"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A directory with a space and a quote has to be quoted for two shells.
	bin := filepath.Join(t.TempDir(), "my clientele's bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(testcluster.Program(t, "clientele"), filepath.Join(bin, "clientele")); err != nil {
		t.Fatal(err)
	}
	keyboard, tty := testcluster.Terminal(t)
	bash := exec.Command("bash", "--noprofile", "--norc", "-i")
	bash.Dir = dir
	bash.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "TERM=dumb", "INPUTRC=/dev/null", "PS1=ready> "}
	bash.Stdin, bash.Stdout, bash.Stderr = tty, tty, tty
	bash.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bash.Process.Kill()
		_ = bash.Wait()
	})
	screen := &terminalScreen{}
	go func() { _, _ = io.Copy(screen, keyboard) }()
	for _, c := range []struct{ typed, shown string }{
		{"", "ready> "},
		{"source <(clientele completion bash); echo do''ne\n", "done\r\nready> "},
		{"clientele ev\t", "clientele events "},
		{"clientele events ta\t", "clientele events tail "},
		{"clientele serve --log-le\t", "clientele serve --log-level "},
		{"clientele worker --log-level w\t", "clientele worker --log-level warn "},
		{"clientele ingress --log-format=j\t", "clientele ingress --log-format=json "},
		{"clientele rejections ls --reason unst\t", "clientele rejections ls --reason unstorable "},
		{"clientele import cl\t", "clientele import clients.csv "},
		{"clientele import my\t", `clientele import my\ file.csv `},
		{"clientele keys ls --keys-file cl\t", "clientele keys ls --keys-file clients.csv "},
		{"clientele events subscribe --event-fields i\t", "clientele events subscribe --event-fields id-only "},
		{"clientele erase --reap\t", "clientele erase --reapply "},
		{"clientele exp\t", "clientele export "},
		{"clientele help mig\t", "clientele help migrate "},
	} {
		if _, err := keyboard.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		publishertest.Eventually(t, c.shown, func() bool { return screen.shows(c.shown) })
		if _, err := keyboard.WriteString("\x15"); err != nil { // delete the line
			t.Fatal(err)
		}
	}
	if t.Failed() {
		t.Log(screen)
	}
}
