package cli_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store"
	"clientele/store/postgres"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// directory is a database with clients, and its flags.
type directory struct {
	t     *testing.T
	store store.Store
	flags []string
}

// onDirectories runs a test on a database of each kind.
func onDirectories(t *testing.T, test func(*testing.T, *directory)) {
	t.Helper()
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := storetest.Postgres(t)
		s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
		test(t, newDirectory(t, s, err, "--database-url", url))
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "clientele.db")})
		test(t, newDirectory(t, s, err, "--data-dir", dir))
	})
}

func newDirectory(t *testing.T, s store.Store, err error, flags ...string) *directory {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &directory{t, s, append(flags, "--nats-url", publishertest.Start(t).URL())}
	if status, _, stderr := d.run("find", "--name=x"); status != cli.ExitError || !strings.Contains(stderr, "schema version 0") {
		t.Errorf("without a schema: %d %s", status, stderr)
	}
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs a command while the store stays open.
func (d *directory) run(args ...string) (status int, stdout, stderr string) {
	d.t.Helper()
	return testcluster.RunLine(d.t, slices.Concat([]string{"clients"}, args, d.flags)...)
}

// add stores clients with these bodies. The id of client i ends in i.
func (d *directory) add(bodies ...string) {
	d.t.Helper()
	var clients []domain.Client
	now := time.Date(2026, 11, 24, 18, 0, 0, 123456000, time.UTC)
	for i, body := range bodies {
		details, err := domain.Parse([]byte(body), now)
		if err != nil {
			d.t.Fatal(err)
		}
		command, err := domain.NewCreateClient(directoryID(i), "caller", now, details)
		if err != nil {
			d.t.Fatal(err)
		}
		command.KeyID = "jnm3d5p7"
		clients = append(clients, command.Client(now.Add(time.Second)))
	}
	if _, err := d.store.Create(d.t.Context(), clients); err != nil {
		d.t.Fatal(err)
	}
}

func directoryID(i int) uuid.UUID { return uuid.UUID{0: 1, 15: byte(i)} }

func TestClientsFind(t *testing.T) {
	t.Parallel()
	onDirectories(t, func(t *testing.T, d *directory) {
		d.add(
			`{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jane@example.com", "middleName": "Mary", "dob": "1985-10-26",
				"address": {"line_1": "1 High Street", "postcode": "SW1A 1AA"}}`,
			`{"firstName": "Jané", "lastName": "Smith", "emailAddress": "JANE@example.com"}`,
			`{"firstName": "John", "lastName": "\u202eSmith", "emailAddress": "john@example.com"}`,
		)
		const facts = "  NotInvited  2026-11-24T18:00:00Z  2026-11-24T18:00:01Z"
		id := func(i int) string { return directoryID(i).String() }
		line := func(i int) string {
			return `{"id":"` + id(i) + `","status":"NotInvited","acceptedAt":"2026-11-24T18:00:00.123456Z","createdAt":"2026-11-24T18:00:01.123456Z"`
		}
		const header = "ID                                    STATUS      ACCEPTED AT           CREATED AT"
		for _, c := range []struct {
			args   []string
			status int
			stdout string
			stderr string
		}{
			{[]string{"--email=Jane@Example.com"}, cli.ExitOK, header + "\n" + id(0) + facts + "\n" + id(1) + facts + "\n", "2 clients\n"},
			{
				[]string{"--name=jane smith", "--body"}, cli.ExitOK, header +
					"            NAME             E-MAIL            POSTCODE  BORN\n" +
					id(0) + facts + "  Jane Mary Smith  jane@example.com  SW1A 1AA  1985-10-26\n" +
					id(1) + facts + "  Jané Smith       JANE@example.com  -         -\n", "2 clients\n",
			},
			{[]string{"--name=mary", "--email=jane@example.com", "--json"}, cli.ExitOK, line(0) + "}\n", "1 client\n"},
			{
				[]string{"--name=jo", "--json", "--body"}, cli.ExitOK, line(2) + `,"record":{"id":"` + id(2) + `","firstName":"John","lastName":"\u202eSmith",` +
					`"emailAddress":"john@example.com","title":null,"middleName":null,"companyName":null,"telephoneNumber":null,` +
					`"altTelephoneNumber":null,"pronouns":null,"avatarUrl":null,"dob":null,"nationality":null,"niNumber":null,` +
					`"occupation":null,"status":"NotInvited"}}` + "\n", "1 client\n",
			},
			{
				[]string{"--name=j", "--limit=2", "--json"},
				cli.ExitOK, line(0) + "}\n" + line(1) + "}\n",
				"3 clients match, the first 2 are printed: raise --limit or add words\n",
			},
			{[]string{"--name=janet"}, cli.ExitError, "", "clientele: no client matches\n"},
			{[]string{"--name='"}, cli.ExitError, "", "clientele: no client matches\n"},
			{[]string{"--name=jo", "--email=jane@example.com"}, cli.ExitError, "", "clientele: no client matches\n"},
		} {
			status, stdout, stderr := d.run(append([]string{"find"}, c.args...)...)
			if status != c.status || stdout != c.stdout || stderr != c.stderr {
				t.Errorf("%v: %d\n%s%s", c.args, status, stdout, stderr)
			}
		}
		if _, stdout, _ := d.run("find", "--name=john", "--body"); !strings.Contains(stdout, `"John \u202eSmith"`) {
			t.Errorf("unprintable characters: %q", stdout)
		}
	})
}

func TestClientsShow(t *testing.T) {
	t.Parallel()
	onDirectories(t, func(t *testing.T, d *directory) {
		d.add(fmt.Sprintf(testcluster.MarkedClient, "\u202eZqmark"))
		id := directoryID(0).String()
		const facts = `
Status:       NotInvited
Accepted at:  2026-11-24T18:00:00.123456Z
Created at:   2026-11-24T18:00:01.123456Z
Caller:       caller
Key ID:       jnm3d5p7
`
		status, stdout, stderr := d.run("show", id)
		if status != cli.ExitOK || !strings.HasPrefix(stdout, "ID:           "+id+facts+"Record:       ") ||
			!strings.HasSuffix(stdout, " bytes of personal data; --body shows it\n") {
			t.Errorf("%d %s%s", status, stdout, stderr)
		}
		client, err := d.store.Get(t.Context(), directoryID(0))
		if err != nil {
			t.Fatal(err)
		}
		record, err := client.JSON()
		if err != nil {
			t.Fatal(err)
		}
		_, stdout, _ = d.run("show", strings.ToUpper(id), "--body")
		body, found := strings.CutPrefix(stdout, "ID:           "+id+facts+"\n")
		var shown domain.Client
		if err := json.Unmarshal([]byte(body), &shown); err != nil || !found || strings.Contains(body, "\u202e") {
			t.Fatalf("%v: %s", err, stdout)
		}
		if got, err := shown.JSON(); err != nil || string(got) != string(record) {
			t.Errorf("%s, want %s", got, record)
		}
		_, stdout, _ = d.run("show", id, "--body", "--json")
		if want := `,"caller":"caller","keyId":"jnm3d5p7","record":` + cli.DisplayJSON(record) + "}\n"; !strings.HasSuffix(stdout, want) {
			t.Errorf("%s, want %s", stdout, want)
		}
		other := directoryID(1).String()
		if status, stdout, stderr := d.run("show", other); status != cli.ExitError || stdout != "" || stderr != "clientele: no client has the id "+other+"\n" {
			t.Errorf("%d %q %q", status, stdout, stderr)
		}
	})
}

// Personal data is printed only on request, and the search terms are not repeated.
func TestClientsArePrivate(t *testing.T) {
	t.Parallel()
	onDirectories(t, func(t *testing.T, d *directory) {
		d.add(fmt.Sprintf(testcluster.MarkedClient, "Zqmark"))
		id := directoryID(0).String()
		for _, args := range [][]string{
			{"find", "--name=Zqmark"},
			{"find", "--name=Zqmark", "--json"},
			{"find", "--email=zqmark@example.com"},
			{"find", "--email=zqmark@example.com", "--json"},
			{"show", id},
			{"show", id, "--json"},
		} {
			status, stdout, stderr := d.run(args...)
			if status != cli.ExitOK || !strings.Contains(stdout, id) {
				t.Errorf("%v: %d %s%s", args, status, stdout, stderr)
			}
			for _, mark := range testcluster.Marks {
				if strings.Contains(strings.ToLower(stdout+stderr), mark) {
					t.Errorf("%v prints %s: %s%s", args, mark, stdout, stderr)
				}
			}
			if _, stdout, _ := d.run(append(args, "--body")...); !strings.Contains(stdout, "Zqmark") {
				t.Errorf("%v with --body: %s", args, stdout)
			}
		}
		for _, args := range [][]string{{"find", "--name=Zqmarked"}, {"find", "--email=zqmark"}, {"find", "--email=zqmark", "--limit=0"}, {"show", "Zqmark"}} {
			if status, stdout, stderr := d.run(args...); status == cli.ExitOK || strings.Contains(strings.ToLower(stdout+stderr), "zqmark") {
				t.Errorf("%v: %d %s%s", args, status, stdout, stderr)
			}
		}
	})
}
