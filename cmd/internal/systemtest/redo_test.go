package systemtest

import (
	"context"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
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
	const found = "events read: 15\nclients %s from their events: 3\nclients %s from their commands: 2\nevents %p: 4\n"
	for _, c := range []struct {
		args []string
		want string
		rows int
	}{
		{[]string{"--dry-run"}, strings.NewReplacer("%s", "missing", "%p", "missing").Replace(found), 14},
		{nil, strings.NewReplacer("%s", "stored again", "%p", "published").Replace(found), 19},
		{nil, "events read: 19\nclients stored again from their events: 0\nclients stored again from their commands: 0\nevents published: 0\n", 19},
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
