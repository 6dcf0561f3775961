package systemtest

import (
	"html"
	"net"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
)

// TestExamples runs the curl commands of README.md and of /docs, and the one that serve prints, each in the order of the text. Like a
// reader, it sets ID to the id in the last response.
func TestExamples(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	api, banner := serve.API(), serve.Says(`(?s)Try it:\n(.*?}')`)
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []struct {
		name, text, code string
		statuses         []string
	}{
		{"README.md", string(readme), "(?s)```sh\n(.*?)```", []string{"202", "200", "200"}},
		{"/docs", html.UnescapeString(testcluster.Get(t, api+"/docs").Body), `(?s)<pre><code>(.*?)</code></pre>`, []string{"202", "201", "200", "200", "200"}},
		{"the banner of serve", banner, `(?s)(.*)`, []string{"202"}},
	} {
		var commands []string
		for _, match := range regexp.MustCompile(source.code).FindAllStringSubmatch(source.text, -1) {
			// Commands with sudo set up separate processes: TestSeparateProcessesByTheREADME runs them.
			if here := strings.Contains(match[1], "curl") && !strings.Contains(match[1], "https://") && !strings.Contains(match[1], "sudo"); here {
				commands = append(commands, match[1])
			}
		}
		if statuses := curl(t, api, strings.Join(commands, "\n")); !slices.Equal(statuses, source.statuses) {
			t.Errorf("%s: %v, want %v", source.name, statuses, source.statuses)
		}
	}
	serve.Stop()
}

// curl runs a script. Its curl connects to the service instead of 127.0.0.1:8080. curl returns the statuses of the answers.
func curl(t *testing.T, api, script string) (statuses []string) {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	const prelude = `curl() {
		response=$(command curl --silent --show-error --connect-to "127.0.0.1:8080:$API" --write-out '\nstatus=%{http_code}\n' "$@")
		echo "$response"
	}
`
	script = regexp.MustCompile(`(?m)^ID=.*`).ReplaceAllString(script, `ID=$(sed -n 's/^{"id":"\([^"]*\)".*/\1/p' <<< "$$response")`)
	shell := exec.Command("bash", "-euc", prelude+script)
	shell.Env = append(os.Environ(), "API="+net.JoinHostPort(target.Hostname(), target.Port()), "no_proxy=*")
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, match := range regexp.MustCompile(`(?m)^status=(\d+)$`).FindAllSubmatch(out, -1) {
		statuses = append(statuses, string(match[1]))
	}
	return statuses
}
