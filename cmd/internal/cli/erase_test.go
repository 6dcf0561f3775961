package cli_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
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
	"clientele/publisher/reader"
	"clientele/store"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// registry has clients with their events, and the flags of clientele erase.
type registry struct {
	js      jetstream.JetStream
	store   store.Store
	clients []domain.Client
	flags   []string
}

// newRegistry returns a registry of n clients. The worker's clock was fast by three hours.
func newRegistry(t *testing.T, n int) registry {
	t.Helper()
	nc := publishertest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "clientele.db")})
	r := registry{
		js: js, store: storetest.Migrated(t, db, err), clients: storetest.Clients(n),
		flags: []string{"--data-dir", dir, "--nats-url", nc.ConnectedUrl(), "--yes"},
	}
	events := make([]domain.Event, n)
	for i := range r.clients {
		r.clients[i].CreatedAt = r.clients[i].CreatedAt.Add(3 * time.Hour)
		if events[i], err = domain.NewEvent(r.clients[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.store.Create(t.Context(), r.clients); err != nil {
		t.Fatal(err)
	}
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := outcomes.PublishEvents(events); err != nil {
		t.Fatal(err)
	}
	return r
}

// left returns the ids of the clients in the database, and the tombstones.
func (r registry) left(t *testing.T) (ids []uuid.UUID, tombstones []domain.Erasure) {
	t.Helper()
	marks, err := r.store.Export(t.Context(), func(c domain.Client) error {
		ids = append(ids, c.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, marks.Erasures
}

func TestErase(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 2)
	id := r.clients[0].ID
	began := domain.Timestamp(time.Now())
	status, stdout, stderr := testcluster.RunLine(t, slices.Concat(
		[]string{"erase", id.String(), "--reason=ticket 4711", "--operator=Alice"}, r.flags)...)
	if want := "erased " + id.String() + ": rows 1, commands 0, rejections 0, events 1; published client.erased\n"; status != cli.ExitOK || stdout != want {
		t.Errorf("%d: %s%s, want %s", status, stdout, stderr, want)
	}
	ids, tombstones := r.left(t)
	if !slices.Equal(ids, []uuid.UUID{r.clients[1].ID}) {
		t.Errorf("the database has %v", ids)
	}
	if len(tombstones) != 1 || tombstones[0] != domain.NewErasure(id, tombstones[0].ErasedAt, "ticket 4711", "Alice") || tombstones[0].ErasedAt.Before(began) {
		t.Errorf("tombstones %+v", tombstones)
	}
}

// TestEraseFrom erases the clients of a file, which also has an unknown id, an id twice and a blank line.
func TestEraseFrom(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 4)
	unknown := uuid.NewString()
	file := filepath.Join(t.TempDir(), "ids.txt")
	lines := []string{r.clients[0].ID.String(), unknown, "", " " + strings.ToUpper(r.clients[1].ID.String()) + "\r", r.clients[0].ID.String(), r.clients[2].ID.String()}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := testcluster.RunLine(t, slices.Concat([]string{"erase", "--from", file}, r.flags)...)
	if want := "erased 3 clients: rows 3, commands 0, rejections 0, events 3; published client.erased\n"; status != cli.ExitError || stdout != want {
		t.Errorf("%d: %s, want %s", status, stdout, want)
	}
	if want := "no data about " + unknown + " was found; client.erased was published anyway\nclientele: erased 3 of 4 clients\n"; stderr != want {
		t.Errorf("%s, want %s", stderr, want)
	}
	if ids, tombstones := r.left(t); !slices.Equal(ids, []uuid.UUID{r.clients[3].ID}) || len(tombstones) != 4 || tombstones[0].Operator == "" {
		t.Errorf("the database has %v and the tombstones %+v", ids, tombstones)
	}
	var out, errs strings.Builder
	last := r.clients[3].ID.String()
	status = cli.Run(t.Context(), slices.Concat([]string{"erase", "--from", "-"}, r.flags), os.Getenv, strings.NewReader(last), &out, &errs)
	if status != cli.ExitOK || !strings.HasPrefix(out.String(), "erased "+last+": rows 1, ") {
		t.Errorf("standard input: %d: %s%s", status, out.String(), errs.String())
	}
}

// run runs a command with the flags of the registry, and checks the exit status.
func (r registry) run(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	status, stdout, stderr := testcluster.RunLine(t, slices.Concat(args, r.flags)...)
	if status != want {
		t.Fatalf("%v: %d: %s%s, want %d", args, status, stdout, stderr, want)
	}
	return stdout, stderr
}

// erasedOf returns the client ids of the client.erased events.
func (r registry) erasedOf(t *testing.T) (ids []string) {
	t.Helper()
	events, err := reader.Open(t.Context(), r.js, reader.Config{UpToNow: true, Subjects: []string{domain.SubjectErased}})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	for {
		msg, err := events.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return ids
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, msg.Headers().Get("ce-subject"))
	}
}

// TestEraseReapply brings back what a restore could: a row without its tombstone, an event, a command, a rejection, and an erasure that
// only a file has.
func TestEraseReapply(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 7)
	row, event, command, rejected, listed, refused, stays := r.clients[0].ID, r.clients[1], r.clients[2].ID, r.clients[3].ID, r.clients[4].ID, r.clients[5].ID, r.clients[6].ID
	if out, _ := r.run(t, cli.ExitOK, "erase", "--reapply"); out != "erasures on record: 0; erased clients with data: 0; other missing tombstones: 0\n" {
		t.Errorf("before the first erasure: %s", out)
	}
	outcomes, err := publisher.OpenOutcomePublisher(t.Context(), r.js.Conn())
	if err != nil {
		t.Fatal(err)
	}
	publish := func(subject, id string) {
		if _, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: nats.Header{"ce-subject": {id}}, Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []uuid.UUID{event.ID, command, rejected, refused} {
		r.run(t, cli.ExitOK, "erase", id.String())
	}
	unknown := uuid.NewString()
	publish(domain.SubjectErased, row.String())
	publish(domain.SubjectErased, unknown) // erased, but its tombstone is lost
	publish(domain.SubjectCreated, event.ID.String())
	publish(domain.SubjectCreate+command.String(), "")
	worker, err := r.js.Consumer(t.Context(), domain.StreamCommands, domain.ConsumerWorker)
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := worker.Next(); err != nil || msg.DoubleAck(t.Context()) != nil {
		t.Fatalf("the command is not finished: %v", err)
	}
	if err := outcomes.PublishRejections([]domain.Rejection{
		{ID: rejected.String(), Reason: domain.CodeInvalid, RejectedAt: time.Now(), Command: domain.RejectedCommand{Body: []byte("{}")}},
		{ID: refused.String(), Reason: domain.CodeErased, RejectedAt: time.Now()},
	}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ids.txt")
	if err := os.WriteFile(file, []byte(listed.String()+"\n"+event.ID.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	before := len(r.erasedOf(t))
	out, _ := r.run(t, cli.ExitOK, "erase", "--reapply", "--from", file, "--reason=restored")
	want := "erasures on record: 7; erased clients with data: 5; other missing tombstones: 1\nstored 1 tombstone\n" +
		"erased 5 clients: rows 2, commands 1, rejections 1, events 3; published client.erased\n"
	if out != want {
		t.Errorf("%s, want %s", out, want)
	}
	again := r.erasedOf(t)[before:]
	slices.Sort(again)
	wanted := []string{row.String(), event.ID.String(), command.String(), rejected.String(), listed.String()}
	if slices.Sort(wanted); !slices.Equal(again, wanted) {
		t.Errorf("client.erased of %v, want %v", again, wanted)
	}
	if ids, tombstones := r.left(t); !slices.Equal(ids, []uuid.UUID{stays}) || len(tombstones) != 7 {
		t.Errorf("the database has %v and %d tombstones", ids, len(tombstones))
	}
	if out, _ := r.run(t, cli.ExitOK, "erase", "--reapply", "--from", file); out != "erasures on record: 7; erased clients with data: 0; other missing tombstones: 0\n" {
		t.Errorf("again: %s", out)
	}
}

// TestLegalHold holds a client, which neither an erasure nor a reapplied one erases, and lifts the hold.
func TestLegalHold(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, 2)
	held, other, unknown := r.clients[0].ID.String(), r.clients[1].ID.String(), uuid.NewString()
	if out, _ := r.run(t, cli.ExitOK, "erase", held, "--legal-hold=2999-12-31", "--reason=case 12", "--operator=Alice"); out != "held "+held+" up to 2999-12-31\n" {
		t.Errorf("%s", out)
	}
	refusal := "client " + held + " is under legal hold up to 2999-12-31: nothing was erased; to lift the hold, run clientele erase " + held + " --legal-hold none\n"
	if _, stderr := r.run(t, cli.ExitError, "erase", held); stderr != "clientele: "+refusal {
		t.Errorf("%s", stderr)
	}
	file := filepath.Join(t.TempDir(), "ids.txt")
	if err := os.WriteFile(file, []byte(held+"\n"+other), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, stderr := r.run(t, cli.ExitError, "erase", "--from", file); !strings.HasPrefix(out, "erased "+other+": rows 1,") || stderr != refusal+"clientele: erased 1 of 2 clients\n" {
		t.Errorf("%s%s", out, stderr)
	}
	if out, stderr := r.run(t, cli.ExitError, "erase", "--reapply", "--from", file); !strings.Contains(out, "erased clients with data: 1;") || stderr != "clientele: "+refusal {
		t.Errorf("%s%s", out, stderr)
	}
	if ids := r.erasedOf(t); slices.Contains(ids, held) {
		t.Errorf("client.erased was published for a held client: %v", ids)
	}
	for id, want := range map[string]string{unknown: "no data about " + unknown + " was found: it is not held", other: "no data about " + other + " was found: it is not held"} {
		if _, stderr := r.run(t, cli.ExitError, "erase", id, "--legal-hold=2999-12-31", "--reason=x"); !strings.Contains(stderr, want) {
			t.Errorf("%s, want %s", stderr, want)
		}
	}
	show := append([]string{"clients", "show", held}, r.flags[:4]...)
	if _, out, _ := testcluster.RunLine(t, show...); !strings.Contains(out, "Legal hold:   up to 2999-12-31, by Alice: case 12\n") {
		t.Errorf("%s", out)
	}
	if out, _ := r.run(t, cli.ExitOK, "erase", held, "--legal-hold=none"); out != "released "+held+"\n" {
		t.Errorf("%s", out)
	}
	if _, stderr := r.run(t, cli.ExitError, "erase", held, "--legal-hold=none"); !strings.Contains(stderr, "is under no legal hold") {
		t.Errorf("%s", stderr)
	}
	if _, out, _ := testcluster.RunLine(t, append(show, "--json")...); strings.Contains(out, "legalHold") {
		t.Errorf("%s", out)
	}
	r.run(t, cli.ExitOK, "erase", held)
}

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	id := uuid.NewString()
	file := filepath.Join(t.TempDir(), "ids.txt")
	if err := os.WriteFile(file, []byte(id+"\nJane\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing":              {nil, "pass either an id or --from"},
		"an id and a file":     {[]string{id, "--from=" + file}, "pass either an id or --from"},
		"a line that is no id": {[]string{"--from=" + file}, "line 2 is not a UUID; nothing was erased"},
		"no ids":               {[]string{"--from=" + os.DevNull}, "the file has no ids"},
		"a long reason":        {[]string{id, "--reason=" + strings.Repeat("x", 201)}, "--reason must be at most 200 printable characters"},
		"a reason of lines":    {[]string{id, "--reason=a\nb"}, "--reason must be at most 200 printable characters"},
		"an id and --reapply":  {[]string{id, "--reapply"}, "pass --reapply without an id and without --legal-hold"},
		"a hold of all":        {[]string{"--reapply", "--legal-hold=none"}, "pass --reapply without an id and without --legal-hold"},
		"a hold for no reason": {[]string{id, "--legal-hold=2999-12-31"}, "--legal-hold requires --reason"},
		"a hold in the past":   {[]string{id, "--legal-hold=2000-12-31", "--reason=x"}, "must be today or a later day, as YYYY-MM-DD, or none"},
		"a hold until a time":  {[]string{id, "--legal-hold=tomorrow", "--reason=x"}, "must be today or a later day, as YYYY-MM-DD, or none"},
		"a hidden operator":    {[]string{id, "--operator=a\u202eb"}, "--operator: must be at most 200 printable characters"},
	} {
		status, stdout, stderr := testcluster.RunLine(t, append([]string{"erase", "--yes"}, test.args...)...)
		if status != cli.ExitUsage || !strings.Contains(stderr, test.want) || strings.Contains(stderr, "Jane") {
			t.Errorf("%s: %d: %s%s, want %q", name, status, stdout, stderr, test.want)
		}
	}
}
