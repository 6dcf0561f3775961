package cli_test

import (
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// refuseRecords has NATS refuse every record: it exists, but accepts none.
func refuseRecords(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	stream, err := js.Stream(t.Context(), domain.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgSize = 1
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

const notDone = "this was not done, because it cannot be recorded: "

// An erasure and a retry that the audit trail refuses change nothing.
func TestWhatIsNotRecordedIsNotDone(t *testing.T) {
	t.Parallel()
	t.Run("erase", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t, 1)
		url := r.flags[slices.Index(r.flags, "--nats-url")+1]
		refuseRecords(t, testcluster.JetStream(t, url))
		status, stdout, stderr := testcluster.RunLine(t, append([]string{"erase", r.clients[0].ID.String()}, r.flags...)...)
		if status != cli.ExitError || !strings.Contains(stderr, notDone) {
			t.Errorf("%d: %s%s", status, stdout, stderr)
		}
		if ids, tombstones := r.left(t); len(ids) != 1 || len(tombstones) != 0 || len(testcluster.Messages(t, url, domain.StreamEvents)) != 1 {
			t.Errorf("the database has %v and the tombstones %v", ids, tombstones)
		}
	})
	for _, command := range []string{"retry", "drop"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			r := newRejectionsTest(t)
			r.rejected("a", "b")
			refuseRecords(t, r.js)
			status, stdout, stderr := r.run(command, "--all", "--yes")
			if status != cli.ExitError || !strings.Contains(stderr, notDone) {
				t.Errorf("%d: %s%s", status, stdout, stderr)
			}
			if ids, commands := r.ids(), r.commands(); len(ids) != 2 || len(commands) != 0 {
				t.Errorf("rejections %v, commands %v", ids, commands)
			}
		})
	}
}
