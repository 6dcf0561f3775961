package systemtest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"
	"clientele/store/storetest"
)

// readmeCommands returns the block of commands in deploy/README.md in which the text occurs.
func readmeCommands(t *testing.T, text string) string {
	t.Helper()
	readme, err := os.ReadFile("../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(readme), "```sh\n")[1:] {
		if commands, _, _ := strings.Cut(block, "```"); strings.Contains(commands, text) {
			return commands
		}
	}
	t.Fatalf("deploy/README.md has no commands with %s", text)
	return ""
}

// TestSeparateProcessesByTheREADME runs the commands of deploy/README.md on free ports, with a PostgreSQL that checks passwords.
func TestSeparateProcessesByTheREADME(t *testing.T) {
	t.Parallel()
	ca := testcluster.NewAuthority(t)
	ca.Issue("server")
	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	postgres := storetest.StartPostgres(t)
	postgres.UseTLS(t, read(ca.File("server.crt")), read(ca.File("server.key")))
	postgresPort := regexp.MustCompile(`:\d+/`).FindString(postgres.URL())
	postgresPort = strings.TrimSuffix(postgresPort, "/")
	port := func() string { _, port, _ := strings.Cut(testcluster.FreeAddress(t), ":"); return ":" + port }
	api := port()
	ports := strings.NewReplacer(":5432", postgresPort, ":4222", port(), ":8080", api, ":9091", port())

	// The part of the repository that the commands read, and a sudo that changes nothing.
	root := t.TempDir()
	bin := filepath.Join(root, "bin")
	for path, content := range map[string]string{
		"go.mod":                    string(read("../../../go.mod")),
		"go.sum":                    string(read("../../../go.sum")),
		"deploy/nats/local.conf":    ports.Replace(string(read("../../../deploy/nats/local.conf"))),
		"deploy/nats/accounts.conf": string(read("../../../deploy/nats/accounts.conf")),
		"deploy/postgres/roles.sql": string(read("../../../deploy/postgres/roles.sql")),
		"bin/sudo":                  "#!/bin/sh\nshift 2\nexec \"$@\"\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	environment := append(os.Environ(),
		"PATH="+bin+":"+filepath.Dir(testcluster.Program(t, "clientele"))+":"+os.Getenv("PATH"), "GOBIN="+bin,
		"PGHOST=127.0.0.1", "PGPORT="+postgresPort[1:], "PGUSER=clientele",
		"CLIENTELE_LISTEN=127.0.0.1"+api, "CLIENTELE_ADMIN_LISTEN=127.0.0.1:0")

	script := ports.Replace(readmeCommands(t, "deploy/nats/local.conf"))
	p := &testcluster.Process{T: t, Cmd: exec.Command("bash", "-euc", "trap 'echo; echo exit status $?' EXIT\n"+script), Done: make(chan struct{})}
	p.Cmd.Dir, p.Cmd.Env, p.Cmd.Stdout, p.Cmd.Stderr = root, environment, p, p
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Cmd.Wait() // this also waits for the background processes, which share its output
		close(p.Done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGTERM)
		<-p.Done
		if t.Failed() {
			t.Log(p.Output())
			for _, name := range []string{"nats.log", "worker.log", "ingress.log"} {
				log, _ := os.ReadFile(filepath.Join(root, name))
				t.Logf("%s:\n%s", name, log)
			}
		}
	})
	if status := p.Says(`exit status (\d+)`); status != "0" {
		t.Fatalf("the commands end with status %s", status)
	}
	p.Says(`HTTP/1.1 202 Accepted`)
	operation := p.Says(`Location: (\S+)`)
	record := testcluster.Succeeded(t, "http://127.0.0.1"+api, operation)
	if !strings.Contains(record, `"lastName":"Smith"`) {
		t.Errorf("client %s", record)
	}
	id := operation[strings.LastIndex(operation, "/")+1:]
	events := ports.Replace(readmeCommands(t, "clientele events tail --since 1h"))
	publishertest.Eventually(t, "the event", func() bool {
		tail := exec.Command("bash", "-euc", events)
		tail.Dir, tail.Env = root, environment
		out, err := tail.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return regexp.MustCompile(`client\.created +` + id).Match(out)
	})
	if got := testcluster.Get(t, "http://127.0.0.1"+api+"/api/v2/clients/"+id); got.Status != http.StatusOK || got.Body != record {
		t.Errorf("%d: %s", got.Status, got.Body)
	}
}
