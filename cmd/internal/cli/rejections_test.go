package cli_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// rejectionsTest is a NATS server with the streams, and without workers.
type rejectionsTest struct {
	t   *testing.T
	url string
	js  jetstream.JetStream
}

func newRejectionsTest(t *testing.T) *rejectionsTest {
	t.Helper()
	server := publishertest.Start(t)
	r := &rejectionsTest{t: t, url: server.URL()}
	var err error
	if r.js, err = jetstream.New(server.Connect(t)); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), r.js); err != nil {
		t.Fatal(err)
	}
	return r
}

// reject puts rejections on their stream.
func (r *rejectionsTest) reject(rejections ...domain.Rejection) {
	r.t.Helper()
	outcomes, err := publisher.OpenOutcomePublisher(r.t.Context(), r.js.Conn())
	if err != nil {
		r.t.Fatal(err)
	}
	for few := range slices.Chunk(rejections, 50) { // a slow disk syncs these within the time for an acknowledgement
		if err := outcomes.PublishRejections(few); err != nil {
			r.t.Fatal(err)
		}
	}
}

// rejected puts a rejection with each id on the stream.
func (r *rejectionsTest) rejected(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		r.reject(domain.Rejection{
			ID: id, Reason: domain.CodeUnstorable, RejectedAt: domain.Timestamp(time.Now()), Deliveries: 1,
			Command: domain.RejectedCommand{Body: []byte("body of " + id)},
		})
	}
}

// ids returns the ids that have a rejection.
func (r *rejectionsTest) ids() []string {
	r.t.Helper()
	var ids []string
	for _, msg := range testcluster.Messages(r.t, r.url, domain.StreamRejections) {
		ids = append(ids, strings.TrimPrefix(msg.Subject, domain.SubjectRejected))
	}
	return ids
}

func (r *rejectionsTest) commands() []string {
	r.t.Helper()
	var commands []string
	for _, msg := range testcluster.Messages(r.t, r.url, domain.StreamCommands) {
		commands = append(commands, strings.TrimPrefix(msg.Subject, domain.SubjectCreate)+" "+string(msg.Data))
	}
	return commands
}

func (r *rejectionsTest) run(args ...string) (status int, stdout, stderr string) {
	r.t.Helper()
	return testcluster.RunLine(r.t, append(append([]string{"rejections"}, args...), "--nats-url", r.url)...)
}

// prints runs the command, which must succeed, and returns what it printed.
func (r *rejectionsTest) prints(args ...string) (stdout, stderr string) {
	r.t.Helper()
	status, stdout, stderr := r.run(args...)
	if status != cli.ExitOK {
		r.t.Fatalf("%v: exit status %d: %s%s", args, status, stdout, stderr)
	}
	return stdout, stderr
}

// one returns a rejection with a value in every field.
func one() domain.Rejection {
	return domain.Rejection{
		ID: "0193", Reason: domain.CodeInvalid, Deliveries: 3,
		RejectedAt: time.Date(2026, 11, 23, 18, 0, 0, 123456000, time.UTC),
		Errors: []domain.Violation{
			{Pointer: "/telephoneNumber", Detail: "perhaps +442079460958"},
			{Pointer: "/a"},
			{Pointer: "/b"},
			{Pointer: "/c"},
			{Pointer: "/d"},
			{Pointer: "/e"},
			{Pointer: "/f"},
			{Detail: "as a whole"},
		},
		Command: domain.RejectedCommand{
			Headers: map[string][]string{
				"Clientele-Caller": {"tester"}, "Clientele-Accepted-At": {"2026-11-23T17:59:00Z"}, "Clientele-Retries": {"2"},
			},
			Body: []byte(`{"firstName":"Zoë"}`),
		},
	}
}

func TestRejectionsLs(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	if stdout, stderr := r.prints("ls"); stdout != "" || stderr != "no rejections\n" {
		t.Errorf("%q %q", stdout, stderr)
	}
	r.reject(one(), domain.Rejection{ID: "x", Reason: domain.CodeUndecodable, Errors: []domain.Violation{{Detail: "no fingerprint"}}})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"ls"}, `
ID    REASON       REJECTED AT           DELIVERIES  RETRIES  WRONG
0193  invalid      2026-11-23T18:00:00Z  3           2        /telephoneNumber, /a, /b, /c, /d, and 3 more
x     undecodable  0001-01-01T00:00:00Z  0           0        no fingerprint
`},
		{[]string{"ls", "--reason=invalid,unstorable", "--since=2026-11-23T18:00:00Z", "--until=2026-11-23T19:00:01+01:00", "--json"}, `
{"id":"0193","reason":"invalid","rejectedAt":"2026-11-23T18:00:00.123456Z","deliveries":3,"retries":2,"errors":[{"pointer":"/telephoneNumber"},` +
			`{"pointer":"/a"},{"pointer":"/b"},{"pointer":"/c"},{"pointer":"/d"},{"pointer":"/e"},{"pointer":"/f"},{"pointer":"","detail":"as a whole"}]}
`},
		{[]string{"ls", "--reason=unstorable"}, "\n"},
		{[]string{"ls", "--pointer=/a~1b"}, "\n"},
		{[]string{"ls", "--pointer=/a", "--caller=crm"}, "\n"},
		{[]string{"ls", "--pointer=/a", "--caller=tester"}, `
ID    REASON   REJECTED AT           DELIVERIES  RETRIES  WRONG
0193  invalid  2026-11-23T18:00:00Z  3           2        /telephoneNumber, /a, /b, /c, /d, and 3 more
`},
		{[]string{"ls", "--until=2026-11-23T18:00:00Z", "--reason=invalid"}, "\n"},
		{[]string{"ls", "--since=2026-11-23T18:00:01Z", "--until=1h"}, "\n"},
	} {
		stdout, stderr := r.prints(c.args...)
		if stdout != c.want[1:] {
			t.Errorf("%v:\n%s", c.args, stdout)
		}
		n := len(slices.Collect(strings.Lines(stdout)))
		if want := cli.CountOf(n, "rejection") + "\n"; c.args[len(c.args)-1] == "--json" && stderr != want {
			t.Errorf("%v: %q", c.args, stderr)
		}
	}
	if _, stderr := r.prints("ls"); stderr != "2 rejections\n" {
		t.Errorf("%q", stderr)
	}
}

// A duration counts back from now.
func TestRejectionsOfTheLastHours(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	for id, ago := range map[string]time.Duration{"new": time.Minute, "old": 3 * time.Hour} {
		r.reject(domain.Rejection{ID: id, Reason: domain.CodeInvalid, RejectedAt: time.Now().Add(-ago)})
	}
	for flag, want := range map[string]string{"--since=2h": "new", "--until=2h": "old"} {
		if stdout, stderr := r.prints("ls", "--json", flag); !strings.HasPrefix(stdout, `{"id":"`+want+`"`) || stderr != "1 rejection\n" {
			t.Errorf("%s: %s%s", flag, stdout, stderr)
		}
	}
}

func TestRejectionsLsOfMany(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	var many []domain.Rejection
	for i := range 2*cli.TableRows + 1 {
		many = append(many, domain.Rejection{ID: fmt.Sprint("id-", i), Reason: domain.CodeInvalid})
	}
	r.reject(many...)
	stdout, stderr := r.prints("ls")
	lines := slices.Collect(strings.Lines(stdout))
	if len(lines) != len(many)+1 || !strings.HasPrefix(lines[0], "ID ") || stderr != "513 rejections\n" {
		t.Fatalf("%d lines, %q", len(lines), stderr)
	}
	for i, line := range lines[1:] {
		if !strings.HasPrefix(line, fmt.Sprintf("id-%d ", i)) {
			t.Fatalf("line %d: %s", i, line)
		}
	}
}

func TestRejectionsShow(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	r.reject(one())
	const head = `ID:           0193
Reason:       invalid
Operation:    rejected
Rejected at:  2026-11-23T18:00:00.123456Z
Deliveries:   3
Retries:      2
Error:        /telephoneNumber: perhaps +442079460958
`
	const headers = `Header:       Clientele-Accepted-At: 2026-11-23T17:59:00Z
Header:       Clientele-Caller: tester
Header:       Clientele-Retries: 2
`
	for flag, body := range map[string]string{
		"--body=false": "Body:         20 bytes of personal data; --body shows it\n",
		"--body":       "\n{\"firstName\":\"Zoë\"}\n",
	} {
		stdout, _ := r.prints("show", "0193", flag)
		if !strings.HasPrefix(stdout, head) || !strings.HasSuffix(stdout, "Error:        as a whole\n"+headers+body) {
			t.Errorf("show %s:\n%s", flag, stdout)
		}
	}
	for flag, body := range map[string]string{
		"--body=false": `"bodyBytes":20}`,
		"--body":       `"bodyBytes":20,"body":"` + base64.StdEncoding.EncodeToString([]byte(`{"firstName":"Zoë"}`)) + `"}`,
	} {
		stdout, _ := r.prints("show", "0193", "--json", flag)
		if !strings.HasPrefix(stdout, `{"id":"0193","reason":"invalid","operation":"rejected","rejectedAt":"2026-11-23T18:00:00.123456Z","deliveries":3,"retries":2,`+
			`"errors":[{"pointer":"/telephoneNumber","detail":"perhaps +442079460958"},`) ||
			!strings.HasSuffix(stdout, `"command":{"headers":{"Clientele-Accepted-At":["2026-11-23T17:59:00Z"],"Clientele-Caller":["tester"],"Clientele-Retries":["2"]},`+body+"}\n") {
			t.Errorf("show --json %s:\n%s", flag, stdout)
		}
	}
	status, stdout, stderr := r.run("show", "0194")
	if status != cli.ExitError || stdout != "" || stderr != "clientele: no rejection has the id 0194\n" {
		t.Errorf("of another id: %d %q %q", status, stdout, stderr)
	}
}

// Only printable text of a rejection reaches the terminal, and an id is accepted in its printed form.
func TestRejectionsAreSafeToPrint(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[2J\u009b31m\u202e\x00\U000e0001"
	for _, id := range []string{"\x1b[31mred", "\xff", "\u009b2J", `"quoted"`} {
		r := newRejectionsTest(t)
		r.reject(domain.Rejection{
			ID: id, Reason: domain.Code("bad" + evil), Errors: []domain.Violation{{Pointer: "/" + evil, Detail: evil}},
			Command: domain.RejectedCommand{
				Headers: map[string][]string{"X" + evil: {evil}}, Body: []byte("line 1\n\tline 2" + evil),
			},
		})
		given := cli.Display(id)
		var out strings.Builder
		var printed struct {
			ID     string             `json:"id"`
			Errors []domain.Violation `json:"errors"`
		}
		for _, args := range [][]string{
			{"ls"}, {"ls", "--group"}, {"ls", "--json"}, {"show", given}, {"show", given, "--body"}, {"show", given, "--json", "--body"},
		} {
			stdout, stderr := r.prints(args...)
			out.WriteString(stdout + stderr)
			if args[len(args)-1] == "--json" {
				if err := json.Unmarshal([]byte(stdout), &printed); err != nil {
					t.Error(err)
				}
			}
			if args[len(args)-1] == "--body" && args[2] == "--body" && !strings.Contains(stdout, "line 1\n\tline 2\\u001b[2J\\u009b31m") {
				t.Errorf("body: %s", stdout)
			}
		}
		if cli.ParseDisplayed(printed.ID) != id || len(printed.Errors) != 1 || printed.Errors[0].Pointer != "/"+evil {
			t.Errorf("%q as JSON: %q", id, printed)
		}
		_, stdout, stderr := r.run("retry", given, given, "\x1b]0;x\a", "--yes")
		out.WriteString(stdout + stderr)
		r.reject(domain.Rejection{ID: id, Reason: domain.CodeInvalid})
		_, stdout, stderr = r.run("retry", given, "--yes")
		out.WriteString(stdout + stderr)
		r.reject(domain.Rejection{ID: id, Reason: domain.CodeInvalid})
		_, stdout, stderr = r.run("retry", given, "--yes") // under way
		if !strings.HasSuffix(stdout, ": a later command with this id is in progress\nretried 0, skipped 1\n") {
			t.Errorf("%q: %s", id, stdout)
		}
		out.WriteString(stdout + stderr)
		if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && r != '\t' && cli.Unprintable(r) || r == '\ufffd' }) {
			t.Errorf("%q printed: %q", id, out.String())
		}
		stdout, _ = r.prints("drop", printed.ID, "--yes")
		if ids := r.ids(); stdout != "invalid: 1\ndropped 1, skipped 0\n" || len(ids) != 0 {
			t.Errorf("drop of %s: %s%q", printed.ID, stdout, ids)
		}
	}
	r := newRejectionsTest(t)
	r.reject(domain.Rejection{ID: "a", Reason: domain.CodeUndecodable, Command: domain.RejectedCommand{Body: []byte("\xff\x1b")}})
	if stdout, _ := r.prints("show", "a", "--body"); !strings.HasSuffix(stdout, "\n\n\"\\xff\\x1b\"\n") {
		t.Errorf("a body that is not text: %q", stdout)
	}
}

// Unknown ids are reported and the others processed, so that an interrupted command can be repeated.
func TestRejectionsByID(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	r.rejected("a", "b", "c")
	status, stdout, stderr := r.run("retry", "--yes", "c", "nobody", "a", "c")
	if status != cli.ExitError || stdout != "unstorable: 2\nretried 2, skipped 0\n" ||
		stderr != "no rejection has the id nobody\nclientele: 1 id without a rejection\n" {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	if !slices.Equal(r.ids(), []string{"b"}) || !slices.Equal(r.commands(), []string{"c body of c", "a body of a"}) {
		t.Errorf("rejections %v, commands %v", r.ids(), r.commands())
	}
	status, stdout, stderr = r.run("drop", "--yes", "nobody")
	if status != cli.ExitError || stdout != "no rejections\n" || stderr != "no rejection has the id nobody\nclientele: 1 id without a rejection\n" {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
}

// A command that is under way is skipped and reported. The others are processed.
func TestRejectionsAreSkipped(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	r.prints("retry", "--all", "--yes") // nothing to do
	r.rejected("a", "b", "c")
	if _, err := r.js.Publish(t.Context(), "client.create.b", []byte("new")); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := r.run("retry", "--reason=unstorable", "--yes")
	if status != cli.ExitError || stdout != "unstorable: 3\nskipped b: a later command with this id is in progress\nretried 2, skipped 1\n" ||
		stderr != "clientele: retried 2 of 3; see above why the others were skipped\n" {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	stdout, _ = r.prints("drop", "--until=0s", "--yes")
	if stdout != "unstorable: 1\ndropped 1, skipped 0\n" || !slices.Contains(r.commands(), "b new") {
		t.Errorf("%s%v", stdout, r.commands())
	}
}

// stopping ends a context at the first output.
type stopping struct {
	bytes.Buffer

	at   string
	stop context.CancelFunc
}

func (w *stopping) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.at)) {
		w.stop()
	}
	return w.Buffer.Write(b)
}

func TestRejectionsAreInterrupted(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	r.rejected("a", "b", "c", "d")
	if _, err := r.js.Publish(t.Context(), "client.create.b", []byte("new")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--all"}, {"a", "b", "c", "d"}} {
		ctx, cancel := context.WithCancel(t.Context())
		stdout, stderr := &stopping{at: "skipped b", stop: cancel}, &bytes.Buffer{}
		status := cli.Run(ctx, slices.Concat([]string{"rejections", "retry", "--yes", "--nats-url", r.url}, args), os.Getenv, strings.NewReader(""), stdout, stderr)
		if status != cli.ExitError || !strings.HasSuffix(stdout.String(), "retried 1, skipped 1\n") ||
			stderr.String() != "clientele: interrupted: retried 1 of 4, the others are unchanged; run this again for the rest\n" {
			t.Errorf("%v: %d %q %q", args, status, stdout.String(), stderr.String())
		}
		if !slices.Equal(r.ids(), []string{"b", "c", "d"}) {
			t.Errorf("%v: rejections of %v", args, r.ids())
		}
		if args[0] == "--all" { // all again, except the command of a
			if err := r.purge("a"); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"b", "c", "d"} {
				r.prints("drop", "--yes", id)
			}
			r.rejected("a", "b", "c", "d")
		}
	}
	if _, stdout, _ := r.run("retry", "--all", "--yes"); !strings.HasSuffix(stdout, "retried 2, skipped 1\n") {
		t.Error(stdout)
	}
}

func (r *rejectionsTest) purge(id string) error {
	stream, err := r.js.Stream(r.t.Context(), domain.StreamCommands)
	if err != nil {
		return err
	}
	return stream.Purge(r.t.Context(), jetstream.WithPurgeSubject(domain.SubjectCreate+id))
}

func TestRejectionsAreRetriedOnAFullLog(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	var three []domain.Rejection
	for _, id := range []string{"a", "b", "c"} {
		three = append(three, domain.Rejection{ID: id, Reason: domain.CodeInvalid, Command: domain.RejectedCommand{Body: make([]byte, 1000)}})
	}
	r.reject(three...)
	size := func(bytes int64) {
		t.Helper()
		cfg := publishertest.Streams
		cfg.LogMaxBytes = bytes
		if err := streams.Migrate(t.Context(), r.js, cfg); err != nil {
			t.Fatal(err)
		}
	}
	size(1500)
	status, stdout, stderr := r.run("retry", "--all", "--yes")
	if status != cli.ExitError || stdout != "invalid: 3\nretried 1, skipped 0\n" || stderr != "clientele: the command log is full: retried 1 of 3, "+
		"the others are unchanged; let the workers catch up, or raise --log-max-bytes or the storage limit of NATS, then run this again\n" {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	size(1 << 20)
	if stdout, _ := r.prints("retry", "--all", "--yes"); stdout != "invalid: 2\nretried 2, skipped 0\n" || len(r.commands()) != 3 {
		t.Errorf("%s%v", stdout, r.commands())
	}
}

func TestRejectionsOfABareServer(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	if err := r.js.DeleteStream(t.Context(), domain.StreamRejections); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ls"}, {"ls", "--group"}, {"show", "a"}, {"export", "a"}, {"retry", "--all", "--yes"}, {"drop", "a", "--yes"}} {
		status, _, stderr := r.run(args...)
		if status != cli.ExitError || stderr != "clientele: stream CLIENT_REJECTIONS is missing: run clientele migrate\n" {
			t.Errorf("%v: %d %q", args, status, stderr)
		}
	}
}
