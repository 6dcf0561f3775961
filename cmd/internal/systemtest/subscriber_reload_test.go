package systemtest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/testcluster"

	"github.com/nats-io/nats.go"
)

// A further subscriber is added to a running server, as deploy/README.md says: a copy of the account and of its exports, a password in
// the file, and two reloads.
func TestASubscriberIsAddedWhileNATSRuns(t *testing.T) {
	t.Parallel()
	b := withAccounts(t)
	accounts := filepath.Join(filepath.Dir(b.server.Config), "accounts.conf")
	text, err := os.ReadFile(accounts)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(accounts, []byte(withSubscriber(t, string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		b.server.Signal(syscall.SIGHUP)
		b.server.Says(`(?s)` + strings.Repeat(`Reloaded server configuration.*`, i+1))
	}
	if status, _, stderr := testcluster.RunLine(t, "events", "subscribe", "billing", "--nats-url", strings.Replace(b.url, "://", "://admin:"+testcluster.Password+"@", 1)); status != 0 {
		t.Fatalf("subscribe: %s", stderr)
	}
	nc, err := nats.Connect(b.url, nats.Timeout(testcluster.Patience), nats.UserInfo("billing", testcluster.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("$JS.API.CONSUMER.INFO.CLIENT_EVENTS.billing", nil, testcluster.Patience); err != nil {
		t.Errorf("its own consumer: %v", err)
	}
	if _, err := nc.Request("$JS.API.CONSUMER.INFO.CLIENT_EVENTS.mailer", nil, time.Second); err == nil {
		t.Error("it reaches the consumer of another subscriber")
	}
}

// withSubscriber adds the subscriber billing, a copy of mailer, to accounts.conf.
func withSubscriber(t *testing.T, accounts string) string {
	t.Helper()
	rename := strings.NewReplacer("$NATS_MAILER_PASSWORD", testcluster.Password, "mailer", "billing", "MAILER", "BILLING")
	before, rest, exports := strings.Cut(accounts, "      # The subscriber mailer.\n")
	own, rest, end := strings.Cut(rest, "    ]\n  }\n\n  # clientele ingress")
	rest, account, found := strings.Cut(rest, "  MAILER: {\n")
	if !exports || !end || !found {
		t.Fatal("accounts.conf has another form")
	}
	account = strings.TrimSuffix(strings.TrimSpace(account), "}")
	return before + own + rename.Replace(own) + "    ]\n  }\n\n  # clientele ingress" + rest + "  MAILER: {\n" + account + rename.Replace("  MAILER: {\n"+account) + "}\n"
}
