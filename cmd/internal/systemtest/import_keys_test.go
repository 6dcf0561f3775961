package systemtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
)

// importTest imports files into a serve, and counts the clients that it accepted.
type importTest struct {
	t    *testing.T
	api  string
	nats string
	dir  string
}

func newImportTest(t *testing.T) *importTest {
	t.Helper()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	t.Cleanup(serve.Stop)
	return &importTest{t: t, api: serve.API(), nats: serve.NATSURL(), dir: t.TempDir()}
}

func (i *importTest) path(name string) string { return filepath.Join(i.dir, name) }

func (i *importTest) write(name, content string) {
	i.t.Helper()
	if err := os.WriteFile(i.path(name), []byte(content), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i *importTest) read(name string) string {
	i.t.Helper()
	content, err := os.ReadFile(i.path(name))
	if err != nil {
		i.t.Fatal(err)
	}
	return string(content)
}

// files returns the names of the files in the directory.
func (i *importTest) files() string {
	i.t.Helper()
	entries, err := os.ReadDir(i.dir)
	if err != nil {
		i.t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

// run imports a file, and checks its exit status and the output.
func (i *importTest) run(name string, status int, want string, flags ...string) {
	i.t.Helper()
	got, stdout, stderr := testcluster.RunLine(i.t, append([]string{"import", i.path(name), "--url", i.api}, flags...)...)
	if got != status || !strings.Contains(stdout+stderr, want) {
		i.t.Fatalf("%s: %d, want %d and %s: %s%s", name, got, status, want, stdout, stderr)
	}
}

// clients checks the number of accepted clients: each has one command on the log when the import ends.
func (i *importTest) clients(want int, what string) {
	i.t.Helper()
	commands := map[string]bool{}
	for _, message := range testcluster.Messages(i.t, i.nats, domain.StreamCommands) {
		if strings.HasPrefix(message.Subject, domain.SubjectCreate) {
			commands[message.Subject] = true
		}
	}
	if len(commands) != want {
		i.t.Errorf("%s: %d clients, want %d", what, len(commands), want)
	}
}

func TestImportKeysAreContent(t *testing.T) {
	t.Parallel()
	i := newImportTest(t)
	const (
		head = "firstName,lastName,emailAddress,address.line_1,address.postcode,communicationPreferences.sms\n"
		jane = "Jane,Smith,jane@example.com,1 High Street,SW1A 1AA,yes\n"
		john = "John,Zoë,john@example.com,,,\n"
		jill = "Jill,Smith,jill@example.com,,,no\n"
	)
	rows := func(n int) string { return fmt.Sprintf("accepted %d, rejected 0", n) }
	i.write("clients.csv", head+jane+john+john+jill)
	i.run("clients.csv", cli.ExitOK, rows(4))
	i.clients(4, "two rows are equal")

	for _, c := range []struct {
		what, name, content string
		rows, clients       int
	}{
		{"a row is deleted", "clients.csv", head + john + john + jill, 3, 4},
		{"rows are sorted", "clients.csv", head + jill + john + jane + john, 4, 4},
		{"columns are reordered, lines end otherwise, all is quoted, and there is a BOM", "clients.csv", "\ufeff" +
			`"communicationPreferences.sms","lastName","firstName","address.postcode","emailAddress","address.line_1"` + "\r\n" +
			`"true","Smith","Jane","SW1A 1AA","jane@example.com","1 High Street"` + "\r\n" +
			`"","Zoë","John","","john@example.com",""` + "\r\n" + `"FALSE","Smith","Jill","","jill@example.com",""` + "\r\n", 3, 4},
		{
			"the file is NDJSON with members in another order", "other.ndjson",
			`{"lastName":"Zo\u00eb", "emailAddress":"john@example.com","firstName":"John"}` + "\n" +
				`{ "communicationPreferences": {"sms": true}, "address": {"postcode":"SW1A 1AA", "line_1":"1 High Street"},` +
				`"emailAddress":"jane@example.com", "lastName":"Smith", "firstName":"Jane" }`, 2, 4,
		},
		{"a row is inserted", "clients.csv", head + jane + "Joan,Smith,joan@example.com,,,\n" + john + john + jill, 5, 5},
		{"an equal row is added", "clients.csv", head + jane + john + jane + john + jill, 5, 6},
	} {
		i.write(c.name, c.content)
		i.run(c.name, cli.ExitOK, rows(c.rows))
		i.clients(c.clients, c.what)
	}
}

func TestImportKeyColumn(t *testing.T) {
	t.Parallel()
	i := newImportTest(t)
	const head = "crm id,firstName,lastName,emailAddress\n"
	flags := []string{"--key-column", "crm id"}
	i.write("crm.csv", head+"4711,Jane,Smith,jane@example.com\n4712,Jane,Smith,jane@example.com\n"+
		",Jill,Smith,jill@example.com\n 4711 ,Joan,Smith,joan@example.com\n4713,John,,john@example.com\n")
	i.run("crm.csv", cli.ExitError, "accepted 2, rejected 3", flags...)
	i.clients(2, "each key is a client")
	want := "crm id,firstName,lastName,emailAddress,import_row,import_errors\n" +
		",Jill,Smith,jill@example.com,4,crm id is empty: each row needs a key in it\n" +
		"\" 4711 \",Joan,Smith,joan@example.com,5,crm id is the same as in row 2: each row needs a unique key\n" +
		"4713,John,,john@example.com,6,lastName is required and must not be blank\n"
	if got := i.read("crm.rejects.csv"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}

	i.write("crm.rejects.csv", strings.NewReplacer("\n,Jill", "\n4714,Jill", `" 4711 "`, "4715", "John,,", "John,Smith,").Replace(want))
	i.run("crm.rejects.csv", cli.ExitOK, "accepted 3, rejected 0", flags...)
	i.clients(5, "corrected keys")

	i.write("crm.ndjson", `{"crm id": 4715, "firstName": "Joan", "lastName": "Smith", "emailAddress": "joan@example.com"}`+"\n"+
		`{"crm id": "4712", "firstName": "Janet", "lastName": "Smith", "emailAddress": "jane@example.com"}`+"\n"+
		`{"crm id": true, "firstName": "Jane", "lastName": "Smith", "emailAddress": "jane@example.com"}`+"\n"+
		`{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jane@example.com"}`)
	i.run("crm.ndjson", cli.ExitError, "accepted 1, rejected 3", flags...)
	i.clients(5, "known keys in another format, one with other content")
	rejects := i.read("crm.rejects.ndjson")
	for _, want := range []string{
		`"import_row":2`, "The idempotency key was used for another request", "crm id must be a string or a number", "crm id is empty",
	} {
		if !strings.Contains(rejects, want) {
			t.Errorf("%s: not in\n%s", want, rejects)
		}
	}

	i.run("crm.csv", cli.ExitError, `--key-column: the file has no column "x"`, "--key-column", "x", "--map", "crm id=")
	i.run("crm.csv", cli.ExitError, "--key-column: firstName is a member of the client", "--key-column", "firstName")
	i.run("crm.csv", cli.ExitError, "--key-column: crm id is mapped", "--key-column", "crm id", "--map", "crm id=")
}
