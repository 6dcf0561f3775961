package systemtest

import (
	"path/filepath"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

// TestOperationsAreListedForGood lists what a worker has done, and again after the database has lost its records of rejections.
func TestOperationsAreListedForGood(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	run := func(args ...string) {
		t.Helper()
		if status, stdout, stderr := testcluster.RunLine(t, append(args, s.Flags...)...); status != cli.ExitOK {
			t.Fatalf("%v: %d %s%s", args, status, stdout, stderr)
		}
	}
	session := s.Session()
	s.Exec(session, `
		INSERT INTO rejections (id, caller, status, rejected_at)
		VALUES (gen_random_uuid(), 'anonymous', 'failed', now() - INTERVAL '91 days')`)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	publishertest.Eventually(t, "the record of an expired rejection is removed", func() (removed bool) {
		if err := session.QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM rejections)`).Scan(&removed); err != nil {
			t.Fatal(err)
		}
		return removed
	})
	operation := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	testcluster.Succeeded(t, ingress.API(), operation)
	rejected := publishertest.NewID(t).String()
	if _, err := s.JetStream.PublishMsg(t.Context(), &nats.Msg{
		Subject: domain.SubjectCreate + rejected, Header: nats.Header{domain.HeaderCaller: {"anonymous"}}, Data: []byte("garbage"),
	}); err != nil {
		t.Fatal(err)
	}
	lists := func(query string, ids ...string) {
		t.Helper()
		var got []string
		publishertest.Eventually(t, query+" lists them", func() bool {
			got = nil
			operations, _ := testcluster.Get(t, ingress.API()+"/api/v2/operations"+query).Object(t)["operations"].([]any) // not in a 503
			for _, o := range operations {
				got = append(got, o.(map[string]any)["id"].(string))
			}
			return len(got) == len(ids)
		})
		for i, id := range ids {
			if got[i] != id {
				t.Errorf("%s lists %v, want %v", query, got, ids)
			}
		}
	}
	lists("", idOf(operation), rejected)
	lists("?status=failed", rejected)
	s.Exec(session, `DELETE FROM rejections`)
	lists("?status=failed")
	run("redo")
	lists("?status=failed", rejected)

	dir := filepath.Join(t.TempDir(), "backup")
	run("backup", dir)
	worker.Stop()
	recreateDatabase(t, s)
	run("restore", dir, "--database-only")
	lists("", idOf(operation), rejected)
	if status, stdout, stderr := testcluster.RunLine(t, "rejections", "drop", rejected, "--yes", "--nats-url", s.NATS.URL); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	lists("", idOf(operation))
}
