package systemtest

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/jackc/pgx/v5"
)

// The database and the events stream lose what they had. redo stores and publishes it again, except for an erased client.
func TestRedo(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	operations := testcluster.PostTwenty(t, ingress.API())
	s.Settled(ingress.API(), operations)
	worker.Stop() // it would notice some of it
	redo := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := testcluster.RunLine(t, append(append([]string{"redo"}, args...), s.Flags...)...)
		if status != cli.ExitOK {
			t.Fatalf("redo %v: %d %s%s", args, status, stdout, stderr)
		}
		return stdout
	}
	erased := idOf(operations[0])
	if status, _, stderr := testcluster.RunLine(t, append([]string{"erase", erased, "--yes"}, s.Flags...)...); status != cli.ExitOK {
		t.Fatalf("erase: %s", stderr)
	}
	for i, operation := range operations[1:8] {
		id := idOf(operation)
		if i < 5 { // no row; the last two have no event either
			s.Exec(s.Session(), `DELETE FROM clients WHERE id = $1`, id)
		}
		if i >= 3 {
			deleteEvents(t, s, id)
		}
	}
	const found = "events read: 15\nclients %s from events: 3\nclients %s from commands: 2\nevents %p: 4\n"
	for _, c := range []struct {
		args []string
		want string
		rows int
	}{
		{[]string{"--dry-run"}, strings.NewReplacer("%s", "to restore", "%p", "to publish").Replace(found), 14},
		{nil, strings.NewReplacer("%s", "restored", "%p", "published").Replace(found), 19},
		{nil, "events read: 19\nclients restored from events: 0\nclients restored from commands: 0\nevents published: 0\n", 19},
	} {
		if got := redo(c.args...); got != c.want {
			t.Errorf("redo %v prints\n%swant\n%s", c.args, got, c.want)
		}
		if n := s.Rows(); n != c.rows {
			t.Errorf("redo %v: %d clients, want %d", c.args, n, c.rows)
		}
	}
	s.SameEvents(ingress.API(), operations[8:])
	s.SameEvents(ingress.API(), operations[1:4])
	for _, operation := range operations[1:] {
		testcluster.Succeeded(t, ingress.API(), operation)
		if n := len(testcluster.Events(t, s.NATS.URL)[idOf(operation)]); n != 1 {
			t.Errorf("client %s has %d events", idOf(operation), n)
		}
	}
	if r := testcluster.Get(t, ingress.API()+"/api/v2/clients/"+erased); r.Status != 404 {
		t.Errorf("the erased client: %d %s", r.Status, r.Body)
	}
}

// The database is lost, and NATS is not. A backup of the day before and the streams together have every client that was accepted.
func TestARestoredDatabaseLosesNothing(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	run := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := testcluster.RunLine(t, append(args, s.Flags...)...)
		if status != cli.ExitOK {
			t.Fatalf("%v: %d %s%s", args, status, stdout, stderr)
		}
		return stdout + stderr
	}
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	operations := testcluster.PostTwenty(t, ingress.API())
	s.Settled(ingress.API(), operations)
	dir := filepath.Join(t.TempDir(), "backup")
	run("backup", dir)
	operations = append(operations, testcluster.PostTwenty(t, ingress.API())...)
	operations = append(operations, testcluster.Accepted(t, ingress.API(), testcluster.Jane, "a key"))
	s.Settled(ingress.API(), operations)
	for _, erased := range []string{idOf(operations[0]), idOf(operations[20])} {
		run("erase", erased, "--yes")
	}
	operations = append(operations[1:20:20], operations[21:]...)
	want := table(t, s)
	ingress.Stop()
	worker.Stop()
	recreateDatabase(t, s)

	other := testcluster.New(t)
	status, _, stderr := testcluster.RunLine(t, append([]string{"restore", dir, "--database-only", "--database-url", s.Database}, other.Flags[:2]...)...)
	if status != cli.ExitError || !strings.Contains(stderr, "belongs to another installation") {
		t.Errorf("into another installation: %d %s", status, stderr)
	}
	run("restore", dir, "--database-only")
	if n := s.Rows(); n != 20 {
		t.Errorf("the restored database has %d clients, want 20", n)
	}
	said := run("redo")
	for _, erased := range []string{"clients restored from events: 20\n", "events published: 0\n", "was erased, but the database has lost that"} {
		if !strings.Contains(said, erased) {
			t.Errorf("redo does not say %q: %s", erased, said)
		}
	}
	run("erase", "--reapply", "--yes")
	if got := table(t, s); !slices.Equal(got, want) {
		t.Errorf("the clients are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	status, _, stderr = testcluster.RunLine(t, append([]string{"restore", dir, "--database-only"}, s.Flags...)...)
	if status != cli.ExitError || !strings.Contains(stderr, "restore into an empty database") {
		t.Errorf("once more: %d %s", status, stderr)
	}

	ingress, _ = s.Clientele("ingress"), s.Clientele("worker")
	s.SameEvents(ingress.API(), operations)
	for id, events := range testcluster.Events(t, s.NATS.URL) {
		if len(events) != 1 && events[0].Subject != domain.SubjectErased {
			t.Errorf("client %s has %d events", id, len(events))
		}
	}
	if again := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "a key"); idOf(again) != idOf(operations[len(operations)-1]) {
		t.Errorf("a retry has the id %s", again)
	}
}

// table returns all rows of clients and the hashes of the erased ones, with every column.
func table(t *testing.T, s *testcluster.Cluster) []string {
	t.Helper()
	rows, err := s.Session().Query(context.Background(), `SELECT c::text FROM clients c UNION ALL SELECT hash::text FROM erasures ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) == 0 {
		t.Fatal(err, len(all))
	}
	return all
}

// recreateDatabase drops the database, and creates it empty.
func recreateDatabase(t *testing.T, s *testcluster.Cluster) {
	t.Helper()
	config, err := pgx.ParseConfig(s.Database)
	if err != nil {
		t.Fatal(err)
	}
	name := pgx.Identifier{config.Database}.Sanitize()
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	s.Exec(conn, `DROP DATABASE `+name+` WITH (FORCE)`)
	s.Exec(conn, `CREATE DATABASE `+name)
}

func idOf(operation string) string { return operation[strings.LastIndex(operation, "/")+1:] }

func deleteEvents(t *testing.T, s *testcluster.Cluster, id string) {
	t.Helper()
	stream, err := s.JetStream.Stream(context.Background(), domain.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range testcluster.Events(t, s.NATS.URL)[id] {
		if err := stream.DeleteMsg(context.Background(), msg.Sequence); err != nil {
			t.Fatal(err)
		}
	}
}
