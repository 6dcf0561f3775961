package systemtest

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
)

func TestServe(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	serve.Ready()
	natsURL := serve.NATSURL()
	testcluster.MainJob(t, serve.API(), natsURL)
	testcluster.FiftyAtOnce(t, []string{serve.API()}, natsURL)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "kept")
	before := testcluster.Succeeded(t, serve.API(), operation)
	if live := testcluster.Get(t, serve.Admin()+"/livez"); live.Status != http.StatusOK {
		t.Errorf("livez: %d %s", live.Status, live.Body)
	}
	serve.Stop()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v (%v)", info, err)
	}

	serve = testcluster.Clientele(t, "serve", "--data-dir", dir)
	if after := testcluster.Succeeded(t, serve.API(), operation); after != before {
		t.Errorf("record after a restart: %s, before: %s", after, before)
	}
	serve.Stop()
}

// The request that serve prints works.
func TestServePrintsARequestThatWorks(t *testing.T) {
	t.Parallel()
	serve := testcluster.Clientele(t, "serve", "--data-dir", t.TempDir())
	url := serve.Says(`curl -i (\S+) `)
	body := serve.Says(`--data '([^']*)'`)
	if r := testcluster.Do(t, http.MethodPost, url, body, ""); r.Status != http.StatusAccepted {
		t.Errorf("%d: %s", r.Status, r.Body)
	}
}

func TestServeProcessesABacklog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// serve creates the log and stops. The commands are published while no worker runs.
	clienteleServe := func() *testcluster.Process { return testcluster.Clientele(t, "serve", "--data-dir", dir) }
	serve := clienteleServe()
	serve.Ready()
	serve.Stop()
	const n = 3000
	testcluster.Backlog(t, dir, n)

	serve = clienteleServe()
	natsURL := serve.NATSURL()
	js := testcluster.JetStream(t, natsURL)
	publishertest.Eventually(t, "the backlog is processed", func() bool {
		c, err := js.Consumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
		if err != nil {
			t.Fatal(err)
		}
		info := c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	})
	if all := testcluster.Events(t, natsURL); len(all) != n {
		t.Errorf("events of %d clients, want %d", len(all), n)
	}
	if rejected := testcluster.Messages(t, natsURL, domain.StreamRejections); len(rejected) != 0 {
		t.Errorf("%d rejections", len(rejected))
	}
}
