package cli_test

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/alecthomas/kong"
)

// leaves returns the commands by their path, such as "events tail".
func leaves(t *testing.T) map[string]*kong.Node {
	t.Helper()
	parser, err := kong.New(&cli.CLI{})
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]*kong.Node{}
	for _, node := range parser.Model.Leaves(false) {
		commands[strings.TrimPrefix(node.FullPath(), parser.Model.Name+" ")] = node
	}
	return commands
}

// Every command that asks a question is listed here. It asks only on a terminal, whatever else standard input is.
func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	t.Parallel()
	asks := map[string][]string{
		"erase":              {"erase", domain.KeyedID("", "a", "b").String()},
		"events replay":      {"events", "replay", "--since=1h"},
		"webhooks redeliver": {"webhooks", "redeliver", "a", "--given-up"},
		"webhooks rm":        {"webhooks", "rm", "a"},
		"events unsubscribe": {"events", "unsubscribe", "a"},
		"rejections retry":   {"rejections", "retry", "--all"},
		"rejections drop":    {"rejections", "drop", "a"},
	}
	found := map[string]rune{}
	for path, node := range leaves(t) {
		for _, flag := range node.Flags {
			if flag.Name == "yes" {
				found[path] = flag.Short
			}
		}
	}
	if !slices.Equal(slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(asks))) {
		t.Errorf("%v have --yes, want %v", found, slices.Sorted(maps.Keys(asks)))
	}
	for path, args := range asks {
		if found[path] != 'y' {
			t.Errorf("%s: --yes has no -y", path)
		}
		for name, stdin := range map[string]*os.File{"a pipe": pipe(t, "y\n"), "an empty pipe": pipe(t, ""), os.DevNull: null(t)} {
			status, stdout, stderr := testcluster.RunLineWith(t, stdin, append(args, "--nats-url=nats://127.0.0.1:1")...)
			if status != cli.ExitUsage || stdout != "" || stderr != "clientele: cannot ask for confirmation, because standard input is not a terminal: pass --yes\n" {
				t.Errorf("%s with %s: exit status %d: %q %q", path, name, status, stdout, stderr)
			}
		}
	}
}

// pipe returns a standard input that another program has written to.
func pipe(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// null returns a device that is not a terminal.
func null(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// Only servers listen for monitoring by default.
func TestAdminListenersAreOfServers(t *testing.T) {
	t.Parallel()
	servers := []string{}
	for path, node := range leaves(t) {
		for _, flag := range node.Flags {
			if flag.Name == "admin-listen" && flag.HasDefault {
				servers = append(servers, path)
			}
		}
	}
	slices.Sort(servers)
	if want := []string{"forward", "ingress", "serve", "worker"}; !slices.Equal(servers, want) {
		t.Errorf("%v listen, want %v", servers, want)
	}
}

func TestMakeHelpIsAligned(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("make", "--no-print-directory", "-C", "../../..", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	columns := map[int]bool{}
	for line := range strings.Lines(string(out)) {
		target := regexp.MustCompile(`^make [a-z]+ +`).FindString(line)
		columns[len(target)] = true
	}
	if len(columns) != 1 || columns[0] {
		t.Errorf("the descriptions begin in %d columns:\n%s", len(columns), out)
	}
}
