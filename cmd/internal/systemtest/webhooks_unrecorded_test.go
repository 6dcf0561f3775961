package systemtest

import (
	"strings"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// The audit trail has room for the start of an action, but not for its end. The action is done, so its secret is printed.
func TestASecretIsPrintedWithoutARecordOfTheEnd(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir(), "--no-forward")
	js := testcluster.JetStream(t, serve.NATSURL())
	for _, args := range [][]string{{"add", "crm", "http://127.0.0.1:1"}, {"rotate", "crm"}} {
		stream, err := js.Stream(t.Context(), domain.StreamAudit)
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.MaxMsgs, config.Discard = int64(stream.CachedInfo().State.Msgs)+1, jetstream.DiscardNew
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		status, stdout, stderr := testcluster.RunLine(t, append(append([]string{"webhooks"}, args...), "--nats-url", serve.NATSURL())...)
		if status != cli.ExitError || !strings.HasPrefix(stdout, "whsec_") || !strings.Contains(stderr, "only its start is recorded") {
			t.Errorf("%v: %d: %s%s", args, status, stdout, stderr)
		}
	}
	serve.Stop()
}
