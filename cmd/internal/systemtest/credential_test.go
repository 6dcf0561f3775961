package systemtest

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go"
)

// TestServeRefusesOtherUsersOfTheMachine checks that programs need the credential of serve for its NATS, that only its user can read the
// credential, and that each start has a new one.
func TestServeRefusesOtherUsersOfTheMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.url")
	passwords := map[string]bool{}
	start := func() (serve *testcluster.Process, address *url.URL) {
		t.Helper()
		serve = testcluster.Clientele(t, "serve", "--data-dir", dir)
		address, err := url.Parse(serve.NATSURL())
		if err != nil {
			t.Fatal(err)
		}
		testcluster.JetStream(t, address.String()) // connects
		password, _ := address.User.Password()
		if strings.Contains(serve.Output(), password) || len(password) < 26 {
			t.Errorf("a password of %d characters in:\n%s", len(password), serve.Output())
		}
		passwords[password] = true
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v (%v), want mode 0600", info, err)
		}
		return serve, address
	}
	refused := func(address url.URL, user *url.Userinfo) {
		t.Helper()
		address.User = user
		nc, err := nats.Connect(address.String(), nats.Timeout(testcluster.Patience))
		if err == nil {
			nc.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("as %s: %v, want %v", user.Username(), err, nats.ErrAuthorization)
		}
	}

	serve, first := start()
	refused(*first, nil)
	refused(*first, url.UserPassword("clientele", "guess"))
	if status, stdout, stderr := testcluster.RunLine(t, "rejections", "ls", "--data-dir", dir); status != cli.ExitOK {
		t.Errorf("%d: %s%s", status, stdout, stderr)
	}
	if status, _, stderr := testcluster.RunLine(t, "rejections", "ls", "--nats-url", "nats://"+first.Host); status != cli.ExitError || !strings.Contains(stderr, "Authorization Violation") {
		t.Errorf("%d: %s", status, stderr)
	}
	serve.Kill()

	serve, second := start() // replaces the file that the killed process left
	refused(*second, first.User)
	serve.Stop()
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end of serve: %v", err)
	}
	if len(passwords) != 2 {
		t.Errorf("%d passwords of two starts", len(passwords))
	}
}

// TestToolsFollowARestartOfServe checks that a program that runs reads the credential of the new process.
func TestToolsFollowARestartOfServe(t *testing.T) {
	t.Parallel()
	var received atomic.Value
	received.Store("nothing")
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received.Store(r.Header.Get("Ce-Subject")) }))
	t.Cleanup(receiver.Close)
	dir, listen := t.TempDir(), "--nats-listen="+testcluster.FreeAddress(t)
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir, listen, "--no-forward")
	testcluster.Webhooks(t, serve.NATSURL(), "add", "crm", receiver.URL)
	forward := testcluster.Clientele(t, "forward", "--data-dir", dir)
	forward.Says("delivering events")
	serve.Stop()

	serve = testcluster.Clientele(t, "serve", "--data-dir", dir, listen, "--no-forward")
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "the event", func() bool { return strings.HasSuffix(operation, received.Load().(string)) })
	forward.Stop()
	serve.Stop()
}
