package systemtest

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

// csvFile writes a file of n clients. bad has the wrong values of some, by their number from 0.
func csvFile(t *testing.T, path string, n int, bad map[int][]string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := csv.NewWriter(file)
	_ = w.Write([]string{"firstName", "lastName", "E-Mail", "address.line_1", "address.postcode", "communicationPreferences.email", "note"})
	for i := range n {
		record := bad[i]
		if record == nil {
			record = []string{"Jane", fmt.Sprintf("Smith, the %d.", i), "jane@example.com", "1 High Street, \"Flat 2\"", "SW1A 1AA", "yes", ""}
		}
		_ = w.Write(record)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		t.Fatal(err)
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	api, natsURL := serve.API(), serve.NATSURL()
	dir := t.TempDir()
	path := filepath.Join(dir, "clients.csv")
	csvFile(t, path, 1000, map[int][]string{
		10:  {"Jane", "", "jane@example.com", "", "", "", ""},
		500: {"Jane", "Smith", "jane", "", "", "", ""},
		999: {"Jane", "Smith", "jane", "", "", "perhaps", ""}, // every broken rule is reported
	})
	flags := []string{"--url", api, "--map", "E-Mail=emailAddress", "--map", "note="}
	clients := func(want int) {
		t.Helper()
		publishertest.Eventually(t, fmt.Sprint(want, " clients"), func() bool { return len(testcluster.Events(t, natsURL)) >= want })
		if n := len(testcluster.Events(t, natsURL)); n != want {
			t.Errorf("%d clients, want %d", n, want)
		}
	}
	run := func(status int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := testcluster.RunLine(t, append([]string{"import"}, args...)...)
		if got != status || !strings.Contains(stdout+stderr, want) {
			t.Fatalf("%v: %d, want %d and %s: %s%s", args, got, status, want, stdout, stderr)
		}
		return stdout
	}
	run(cli.ExitError, "valid 997, rejected 3", append(flags, path, "--dry-run")...)
	clients(0)
	corrected := filepath.Join(dir, "clients.rejects.csv")
	// A second import creates no second client.
	for range 2 {
		run(cli.ExitError, "accepted 997, rejected 3", append(flags, path)...)
		clients(997)
	}
	rejects, err := os.ReadFile(corrected)
	if err != nil {
		t.Fatal(err)
	}
	text := string(rejects)
	for _, want := range []string{"note,import_row,import_errors\n", ",12,lastName ", `,502,"emailAddress `, ",1001,\"communicationPreferences.email must be true or false; emailAddress must be"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: not in\n%s", want, text)
		}
	}
	text = strings.NewReplacer("Jane,,jane", "Jane,Smith,jane", "Smith,jane,", "Smith,jane@example.com,", "perhaps", "no").Replace(text)
	if err := os.WriteFile(corrected, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(cli.ExitOK, "accepted 3, rejected 0", append(flags, corrected)...)
	clients(1000)

	lines := filepath.Join(dir, "clients.ndjson")
	if err := os.WriteFile(lines, []byte(testcluster.Jane+"\n\n"+strings.Replace(testcluster.Jane, "jsmith@", "", 1)+"\nnot JSON\n"+testcluster.Jane), 0o600); err != nil {
		t.Fatal(err)
	}
	run(cli.ExitError, "accepted 2, rejected 2", "--url", api, lines)
	clients(1002)
	rejects, err = os.ReadFile(filepath.Join(dir, "clients.rejects.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"import_row":3`, `"import_errors":["emailAddress `, `"import_line":"not JSON"`, `"import_row":4`} {
		if !strings.Contains(string(rejects), want) {
			t.Errorf("%s: not in\n%s", want, rejects)
		}
	}
	for line := range strings.Lines(string(rejects)) {
		if strings.Contains(line, "import_line") {
			continue
		}
		line = strings.Replace(line, `"example.com"`, `"janet@example.com"`, 1)
		status, stdout, stderr := testcluster.RunLineWith(t, strings.NewReader("\ufeff"+line), "import", "--url", api, "-", "--rejects", filepath.Join(dir, "none"))
		if status != cli.ExitOK || !strings.Contains(stdout, "accepted 1, rejected 0") {
			t.Errorf("%s: %d: %s%s", line, status, stdout, stderr)
		}
	}
	clients(1003)
	serve.Stop()
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		want   string
		status int
		args   []string
	}{
		{"clientele: /nonexistent.csv does not exist\n", cli.ExitError, []string{"/nonexistent.csv"}},
		{"the file is empty", cli.ExitError, []string{write("empty.csv", "")}},
		{`column "surname" is not a member of a client; the members are address.county, `, cli.ExitError, []string{write("a.csv", "firstName,surname\n")}},
		{`or pass --map "surname=MEMBER"`, cli.ExitError, []string{write("a.csv", "firstName,surname\n")}},
		{`columns "Vorname", "surname" are not members of a client; the members are`, cli.ExitError, []string{write("g.csv", "Vorname,firstName,surname\n")}},
		{`or pass --map "Vorname=MEMBER" --map "surname=MEMBER"`, cli.ExitError, []string{write("g.csv", "Vorname,firstName,surname\n")}},
		{`": pass --delimiter ';'`, cli.ExitError, []string{write("h.csv", "firstName;lastName\n")}},
		{`": pass --delimiter $'\t'`, cli.ExitError, []string{write("i.csv", "firstName\tlastName\n")}},
		{`": pass --delimiter '|'`, cli.ExitError, []string{write("j.csv", "firstName|lastName\n")}},
		{`": pass --delimiter ','`, cli.ExitError, []string{write("k.csv", "firstName,lastName\n"), "--delimiter=;"}},
		{"two columns are named firstName", cli.ExitError, []string{write("b.csv", "firstName,firstName\n")}},
		{`--map: the file has no column "x"`, cli.ExitError, []string{write("c.csv", "firstName\n"), "--map", "x=lastName"}},
		{"row 3: ", cli.ExitError, []string{write("d.csv", "firstName\nJane\n\"x\"y\n"), "--dry-run"}},
		{"more than a client can have", cli.ExitError, []string{write("e.ndjson", strings.Repeat("x", 2<<20)), "--dry-run"}},
		{"--delimiter", cli.ExitUsage, []string{"x", "--delimiter=ab"}},
		{"--url must be a URL such as", cli.ExitUsage, []string{"x", "--url=ftp://x"}},
	} {
		if status, stdout, stderr := testcluster.RunLine(t, append([]string{"import"}, c.args...)...); status != c.status || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: %d, want %d and %s: %s%s", c.args, status, c.status, c.want, stdout, stderr)
		}
	}
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	if status, _, stderr := testcluster.RunLine(t, "import", write("f.ndjson", testcluster.Jane), "--url", serve.API()+"/x"); status != cli.ExitError || !strings.Contains(stderr, "404") || !strings.Contains(stderr, "check --url, and the API key in CLIENTELE_TOKEN or --token") {
		t.Errorf("%d: %s", status, stderr)
	}
	serve.Stop()
}

// An import that is killed twice and run again creates each client once. It leaves no rows of clients behind.
func TestImportIsKilled(t *testing.T) {
	t.Parallel()
	const n = 4000
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir, "--rate-limit=1000") // no import ends before it is killed
	api, natsURL := serve.API(), serve.NATSURL()
	files := t.TempDir()
	path := filepath.Join(files, "clients.csv")
	csvFile(t, path, n+1, map[int][]string{3: {"Jane", "", "", "", "", "", ""}})
	args := []string{"import", path, "--url", api, "--map", "E-Mail=emailAddress", "--map", "note="}
	js := testcluster.JetStream(t, natsURL)
	last := func(name string) uint64 {
		t.Helper()
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.LastSeq
	}
	for _, killedAt := range []uint64{500, 2000} {
		p := testcluster.Start(t, testcluster.Program(t, "clientele"), args...)
		publishertest.Eventually(t, "the import is in progress", func() bool { return last(domain.StreamCommands) >= killedAt })
		p.Kill()
		if left, err := os.ReadDir(files); err != nil || len(left) != 1 {
			t.Errorf("%v beside the file: %v", left, err)
		}
	}
	p := testcluster.Start(t, testcluster.Program(t, "clientele"), args...)
	if status := p.Wait(); status != cli.ExitError || !strings.Contains(p.Output(), fmt.Sprintf("accepted %d, rejected 1", n)) {
		t.Fatalf("%d: %s", status, p.Output())
	}
	publishertest.Eventually(t, "all clients", func() bool { return last(domain.StreamEvents) >= n })
	if got := len(testcluster.Events(t, natsURL)); got != n {
		t.Errorf("%d clients, want %d", got, n)
	}
	serve.Stop()
}
