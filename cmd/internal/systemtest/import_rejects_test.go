package systemtest

import (
	"os"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
)

const (
	rejectsHead = "firstName,lastName,emailAddress\n"
	// The rows that are not valid are 3, 6 and 7: row 3 has two lines, and a blank line is row 5.
	rejectsFile = rejectsHead + "Jane,Smith,jane@example.com\n\"Jim\nBob\",Smith,jim\nJoan,Smith,joan@example.com\n\n" +
		"Jack,Smith,jack\nJill,Smith,jill@example.com,1 High Street\n"
	rejectsWant = "firstName,lastName,emailAddress,import_row,import_errors\n" +
		"\"Jim\nBob\",Smith,jim,3,\"firstName must not "
)

// correct replaces text in a file that exists.
func (i *importTest) correct(name string, oldnew ...string) {
	i.t.Helper()
	before := i.read(name)
	after := strings.NewReplacer(oldnew...).Replace(before)
	if before == after {
		i.t.Fatalf("nothing to correct in %s", before)
	}
	i.write(name, after)
}

func (i *importTest) has(name string, parts ...string) {
	i.t.Helper()
	content := i.read(name)
	for _, part := range parts {
		if !strings.Contains(content, part) {
			i.t.Errorf("%s: not in %s:\n%s", part, name, content)
		}
	}
}

func (i *importTest) hasFiles(want string) {
	i.t.Helper()
	if got := i.files(); got != want {
		i.t.Fatalf("files %s, want %s", got, want)
	}
}

// A file of rejects lists the rows that are left: rows that are rejected again stay, with their first numbers.
func TestRejectsAreImported(t *testing.T) {
	t.Parallel()
	i := newImportTest(t)
	i.write("clients.csv", rejectsFile)
	i.run("clients.csv", cli.ExitError, "correct 3 rows in "+i.path("clients.rejects.csv"))
	i.has("clients.rejects.csv", rejectsWant, "Jack,Smith,jack,6,", `Jill,Smith,jill@example.com,7,"the row has 4 columns, the header has 3",1 High Street`)
	if info, err := os.Stat(i.path("clients.rejects.csv")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	i.clients(2, "the file")

	// One row is corrected, another is not, and a third is correct only in part.
	i.correct("clients.rejects.csv", "\"Jim\nBob\",Smith,jim,", "\"Jim\",Smith,jim@example.com,", "Jack,Smith,", "Jack,,")
	i.run("clients.rejects.csv", cli.ExitError, "accepted 1, rejected 2")
	i.clients(3, "one is corrected")
	i.hasFiles("clients.csv clients.rejects.csv")
	i.has("clients.rejects.csv", "Jack,,jack,6,\"lastName is required and", "Jill,Smith,jill@example.com,7,", `",1 High Street`)
	if content := i.read("clients.rejects.csv"); strings.Contains(content, "Jim") {
		t.Errorf("an accepted row is left:\n%s", content)
	}

	i.correct("clients.rejects.csv", "Jack,,jack,", "Jack,Smith,jack@example.com,", ",1 High Street", "")
	i.run("clients.rejects.csv", cli.ExitOK, "removed "+i.path("clients.rejects.csv")+": all of its rows are accepted")
	i.hasFiles("clients.csv")
	i.clients(5, "all are corrected")

	i.write("lines.ndjson", "not JSON\n\n"+`{"firstName":"Jo"}`+"\nnull\n")
	i.run("lines.ndjson", cli.ExitError, "accepted 0, rejected 3")
	i.has("lines.rejects.ndjson", `"import_line":"not JSON","import_row":1}`, `"import_row":3}`, `"import_line":"null","import_row":4}`)
	i.write("lines.rejects.ndjson", strings.Replace(i.read("lines.rejects.ndjson"), `"Jo"`, `"Jo","lastName":"Smith","emailAddress":"jo@example.com"`, 1))
	i.run("lines.rejects.ndjson", cli.ExitError, "accepted 1, rejected 2")
	i.has("lines.rejects.ndjson", `"import_line":"not JSON","import_row":1}`, `"import_line":"null","import_row":4}`)
	i.clients(6, "lines")
}

// No other file is overwritten: no edited file, no target of a link, and no file that the import did not write.
func TestRejectsOverwriteNothing(t *testing.T) {
	t.Parallel()
	i := newImportTest(t)
	i.write("clients.csv", rejectsFile)
	for range 2 { // the second run has the same rejects
		i.run("clients.csv", cli.ExitError, "correct 3 rows in "+i.path("clients.rejects.csv"))
		i.hasFiles("clients.csv clients.rejects.csv")
	}
	i.correct("clients.rejects.csv", "jack", "jack@example.com")
	edited := i.read("clients.rejects.csv")
	for range 2 {
		i.run("clients.csv", cli.ExitError, "correct 3 rows in "+i.path("clients.rejects.2.csv"))
		i.hasFiles("clients.csv clients.rejects.2.csv clients.rejects.csv")
	}
	i.has("clients.rejects.2.csv", rejectsWant, "Jack,Smith,jack,6,")
	if got := i.read("clients.rejects.csv"); got != edited {
		t.Errorf("overwritten:\n%s", got)
	}
	i.run("clients.csv", cli.ExitError, "valid 2, rejected 3", "--dry-run")
	i.run("clients.rejects.2.csv", cli.ExitError, "valid 0, rejected 3", "--dry-run")
	i.hasFiles("clients.csv clients.rejects.2.csv clients.rejects.csv")

	// An import without rejects removes the file that it imported, and no other.
	i.correct("clients.rejects.2.csv", "\"Jim\nBob\",Smith,jim,", "Jim,Smith,jim@example.com,", "jack", "jack@example.com", ",1 High Street", "")
	i.run("clients.rejects.2.csv", cli.ExitOK, "removed "+i.path("clients.rejects.2.csv"))
	i.write("clients.csv", rejectsHead+"Jane,Smith,jane@example.com\n")
	i.run("clients.csv", cli.ExitOK, "accepted 1, rejected 0")
	i.hasFiles("clients.csv clients.rejects.csv")

	// A file is a file of rejects only if both its name and its columns are.
	i.write("mine.rejects.csv", rejectsHead+"Jane,Smith,jane@example.com\n")
	i.run("mine.rejects.csv", cli.ExitOK, "accepted 1, rejected 0")
	i.write("mine.csv", rejectsWant+"\"\n")
	i.correct("mine.csv", "jim", "jim@example.com", "\"Jim\nBob\"", "Jim")
	i.run("mine.csv", cli.ExitOK, "accepted 1, rejected 0")
	i.hasFiles("clients.csv clients.rejects.csv mine.csv mine.rejects.csv")
	i.clients(5, "all")
	i.write("mine.rejects.csv", rejectsHead+"Jane,,jane@example.com\n")
	i.run("mine.rejects.csv", cli.ExitError, "correct 1 row in "+i.path("mine.rejects.2.csv"))
	i.has("mine.rejects.csv", rejectsHead+"Jane,,")

	i.write("other", "precious")
	if err := os.Symlink(i.path("other"), i.path("link.csv")); err != nil {
		t.Fatal(err)
	}
	i.run("clients.csv", cli.ExitOK, "accepted 1", "--rejects", i.path("link.csv"))
	i.run("mine.rejects.csv", cli.ExitError, "is not a regular file: choose another file with --rejects", "--rejects", i.path("link.csv"))
	if got := i.read("other"); got != "precious" {
		t.Errorf("overwritten: %s", got)
	}
}

// A file of rejects that is edited during its import stays unchanged.
func TestRejectsAreEditedMeanwhile(t *testing.T) {
	t.Parallel()
	i := &importTest{t: t, dir: t.TempDir()}
	const rejects = "firstName,lastName,emailAddress,import_row,import_errors\nJane,Smith,jane@example.com,2,reason\n"
	i.write("clients.rejects.csv", rejects)
	address := testcluster.FreeAddress(t)
	p := testcluster.Start(t, testcluster.Program(t, "clientele"), "import", i.path("clients.rejects.csv"), "--url", "http://"+address)
	p.Says("trying again: ")
	edited := rejects + "John,Smith,john@example.com,3,reason\n"
	i.write("clients.rejects.csv", edited)
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--listen="+address)
	if status := p.Wait(); status != cli.ExitOK || !strings.Contains(p.Output(), "accepted 1, rejected 0") {
		t.Errorf("%d: %s", status, p.Output())
	}
	if got := i.read("clients.rejects.csv"); got != edited {
		t.Errorf("changed:\n%s", got)
	}
	serve.Stop()
}

// A spreadsheet does not run the cells of a rejects file as formulas, and the import of that file sends the original values.
func TestRejectsHaveNoFormulas(t *testing.T) {
	t.Parallel()
	i := newImportTest(t)
	const head = "firstName,lastName,emailAddress,telephoneNumber,occupation\n"
	i.write("clients.csv", head+
		"Jane,\"=HYPERLINK(\"\"http://x\"\")\",jane,+442079460958,'-\n"+
		"@Jim,-Smith,jim@example.com,+447700900123,,=1+1\n")
	i.run("clients.csv", cli.ExitError, ": correct 2 rows in ")
	i.has("clients.rejects.csv", "\nJane,\"'=HYPERLINK(\"\"http://x\"\")\",jane,'+442079460958,''-,2,", "\n'@Jim,'-Smith,jim@example.com,'+447700900123,,3,", ",'=1+1\n")
	i.correct("clients.rejects.csv", ",jane,", ",jane@example.com,")
	i.run("clients.rejects.csv", cli.ExitError, "accepted 1, rejected 1")
	i.has("clients.rejects.csv", "\n'@Jim,'-Smith,jim@example.com,'+447700900123,,3,", ",'=1+1\n")
	// A corrected cell has no apostrophe.
	i.correct("clients.rejects.csv", ",'=1+1", "", "'+447700900123", "+447700900124")
	i.run("clients.rejects.csv", cli.ExitOK, "accepted 1, rejected 0")
	i.clients(2, "the corrected rows")
	for _, want := range []string{
		`"lastName":"=HYPERLINK(\"http://x\")"`, `"telephoneNumber":"+442079460958"`, `"occupation":"'-"`,
		`"firstName":"@Jim","lastName":"-Smith"`, `"telephoneNumber":"+447700900124"`,
	} {
		if records := i.records(); !strings.Contains(records, want) {
			t.Errorf("%s: not in %s", want, records)
		}
	}
	// Any other file is imported as it is.
	i.write("plain.csv", head+"Joan,'=x,joan@example.com,+442079460958,\nJack,Smith,jack@example.com,'+442079460958,\n")
	i.run("plain.csv", cli.ExitError, "accepted 1, rejected 1")
	i.clients(3, "a plain file")
	if records := i.records(); !strings.Contains(records, `"lastName":"'=x"`) {
		t.Errorf("an apostrophe is lost: %s", records)
	}
}

// records returns the bodies of all accepted commands.
func (i *importTest) records() string {
	i.t.Helper()
	var all strings.Builder
	for _, command := range testcluster.Messages(i.t, i.nats, domain.StreamCommands) {
		all.Write(command.Data)
	}
	return all.String()
}
