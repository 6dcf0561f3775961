package systemtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats.go/jetstream"
)

// TestErasedForGood sends a request again under its key after its client was erased, and again after a backup was restored.
func TestErasedForGood(t *testing.T) {
	t.Parallel()
	const key = "order 1"
	run := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := testcluster.RunLine(t, args...)
		if status != cli.ExitOK {
			t.Fatalf("%v: %d: %s%s", args, status, stdout, stderr)
		}
		return stdout
	}
	// refused posts the request and checks that it creates no client.
	refused := func(serve *testcluster.Process, id string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serve.API()+"/api/v2/clients", strings.NewReader(testcluster.Jane))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		r.Header.Set("Prefer", "wait=20")
		answer, err := testcluster.RoundTrip(r)
		if err != nil || answer.Status != http.StatusGone || answer.Object(t)["type"] != "/problems/erased" {
			t.Errorf("%v %d: %s", err, answer.Status, answer.Body)
		}
		if r := testcluster.Get(t, serve.API()+"/api/v2/operations/"+id); r.Object(t)["status"] != "rejected" {
			t.Errorf("the operation: %d: %s", r.Status, r.Body)
		}
		if r := testcluster.Get(t, serve.API()+"/api/v2/clients/"+id); r.Status != http.StatusNotFound {
			t.Errorf("the client: %d: %s", r.Status, r.Body)
		}
		natsURL := serve.NATSURL()
		for _, msg := range testcluster.Events(t, natsURL)[id] {
			if msg.Subject == domain.SubjectCreated {
				t.Errorf("an event: %s", msg.Data)
			}
		}
		if out := run("rejections", "ls", "--reason=erased", "--nats-url", natsURL); !strings.Contains(out, id) {
			t.Errorf("the rejections: %s", out)
		}
		for _, flags := range [][]string{nil, {"--body"}} {
			if out := run(append([]string{"rejections", "show", id, "--nats-url", natsURL}, flags...)...); !regexp.MustCompile(`(?m)^Body: +not kept\n$`).MatchString(out) {
				t.Errorf("the rejection, %v: %s", flags, out)
			}
		}
		publishertest.Eventually(t, "a retry is refused", func() bool { // a busy NATS may not answer in time
			status, stdout, _ := testcluster.RunLine(t, "rejections", "retry", "--yes", id, "--nats-url", natsURL)
			return status == cli.ExitError && strings.Contains(stdout, "its client was erased")
		})
	}

	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, key)
	testcluster.Succeeded(t, serve.API(), operation)
	id := operation[strings.LastIndex(operation, "/")+1:]
	publishertest.Eventually(t, "the client is erased", func() bool {
		status, _, stderr := testcluster.RunLine(t, "erase", "--yes", id, "--data-dir", dir, "--nats-url", serve.NATSURL())
		if status != cli.ExitOK && !strings.Contains(stderr, "is pending: nothing was erased") {
			t.Fatalf("%d: %s", status, stderr)
		}
		return status == cli.ExitOK
	})
	copied, restored := filepath.Join(t.TempDir(), "backup"), t.TempDir()
	serve.Stop()
	run("backup", copied, "--data-dir", dir) // before the log has another command of the client
	run("restore", copied, "--data-dir", restored)
	for _, dir := range []string{dir, restored} {
		serve = testcluster.Clientele(t, "serve", "--data-dir", dir)
		refused(serve, id)
		serve.Stop()
	}
}

// TestErasedAfterItsCommandWasTrimmed searches the disk of serve for a client whose command had left the log before the erasure. The
// server does not overwrite such a message: SECURITY.md says where it remains, and for how long.
func TestErasedAfterItsCommandWasTrimmed(t *testing.T) {
	t.Parallel()
	const mark = "Zqmark"
	dir := t.TempDir()
	// files returns the files with the mark, without their names.
	files := func() map[string]bool {
		found := map[string]bool{}
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				var content []byte
				if content, err = os.ReadFile(path); bytes.Contains(content, []byte(mark)) {
					found[filepath.Dir(strings.TrimPrefix(path, dir))] = true
				}
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // the server replaces files
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir, "--history=2s")
	natsURL := serve.NATSURL()
	operation := testcluster.Accepted(t, serve.API(), fmt.Sprintf(testcluster.MarkedClient, mark), "")
	testcluster.Succeeded(t, serve.API(), operation)
	id := operation[strings.LastIndex(operation, "/")+1:]
	publishertest.Eventually(t, "the client is in the database, the log and the events", func() bool { return len(files()) == 3 })
	commands, err := testcluster.JetStream(t, natsURL).Stream(t.Context(), domain.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	publishertest.Eventually(t, "the command is trimmed, and others are not", func() bool {
		testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
		_, err := commands.GetLastMsgForSubject(t.Context(), domain.SubjectCreate+id)
		return errors.Is(err, jetstream.ErrMsgNotFound)
	})
	status, stdout, stderr := testcluster.RunLine(t, "erase", "--yes", id, "--data-dir", dir, "--nats-url", natsURL)
	if status != cli.ExitOK || !strings.Contains(stdout, "rows 1, commands 0, rejections 0, events 1") {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	if after := files(); len(after) != 1 || !strings.Contains(fmt.Sprint(after), domain.StreamCommands) {
		t.Errorf("after the erasure the client is in %v, want only the log", after)
	}
	// A block of the log has 8 MiB. The server removes it when later commands are in another one.
	large := strings.ReplaceAll(fmt.Sprintf(testcluster.MarkedClient, "Large"), mark, strings.Repeat("🦊", 200))
	for range 1200 {
		testcluster.Accepted(t, serve.API(), large, "")
	}
	publishertest.Eventually(t, "the block with the command is removed", func() bool { return len(files()) == 0 })
	serve.Stop()
}

// TestErasedWhileAWorkerIsStopped stops a worker between the commit of a row and its event, for longer than the ack wait. Another worker
// publishes the event, and the client is erased. When the first worker continues, it must not publish the event again.
func TestErasedWhileAWorkerIsStopped(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress := s.Clientele("ingress")
	operations := testcluster.PostTwenty(t, ingress.API())
	unlock := s.Lock()
	stopped := s.Clientele("worker")
	s.LocksHeld()
	stopped.Signal(syscall.SIGSTOP)
	other := s.Clientele("worker")
	publishertest.Eventually(t, "commands are delivered to another", func() bool {
		delivered := s.Consumer().Delivered
		return delivered.Consumer > delivered.Stream
	})
	unlock() // the row of the stopped worker is committed
	publishertest.Eventually(t, "every command is acknowledged", s.Drained)
	id := path.Base(operations[0])
	if status, stdout, stderr := testcluster.RunLine(t, append([]string{"erase", "--yes", id}, s.Flags...)...); status != cli.ExitOK {
		t.Fatalf("%d: %s%s", status, stdout, stderr)
	}
	publishertest.Eventually(t, "the event is seen", func() bool { return len(s.Published()[id]) > 0 })
	published := len(s.Published()[id])
	stopped.Signal(syscall.SIGCONT)
	stopped.Says("did not publish the outcomes")
	if n := testcluster.Metric(t, stopped.Admin(), "clientele_worker_lapsed_commands_total"); n != 20 {
		t.Errorf("%v commands are counted, want 20", n)
	}
	more := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	testcluster.Succeeded(t, ingress.API(), more)
	// The stream drops the event of its first two minutes, but not a later one.
	if n := len(s.Published()[id]); n != published {
		t.Errorf("%d events after the erasure", n-published)
	}
	stopped.Ready()
	other.Ready()
}

// TestErasedFromAnEncryptedLog shows that nats-server does not overwrite an erased message of an encrypted stream (removeMsg in its
// filestore.go): the block grows, and keeps its bytes. SECURITY.md says so.
func TestErasedFromAnEncryptedLog(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("a1", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir, "--nats-encryption-key-file", key)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	for _, operation := range []string{operation, testcluster.Accepted(t, serve.API(), testcluster.Jane, "")} {
		testcluster.Succeeded(t, serve.API(), operation)
	}
	publishertest.Eventually(t, "two events", func() bool { return len(testcluster.Events(t, serve.NATSURL())) == 2 })
	events := func() []byte {
		blocks, err := filepath.Glob(filepath.Join(dir, "nats/jetstream/*/streams", domain.StreamEvents, "msgs/*.blk"))
		if err != nil || len(blocks) != 1 {
			t.Fatal(blocks, err)
		}
		content, err := os.ReadFile(blocks[0])
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	before := events()
	publishertest.Eventually(t, "the client is erased", func() bool {
		status, _, _ := testcluster.RunLine(t, "erase", "--yes", operation[strings.LastIndex(operation, "/")+1:], "--data-dir", dir, "--nats-url", serve.NATSURL())
		return status == cli.ExitOK
	})
	if after := events(); len(before) == 0 || len(after) <= len(before) || !bytes.HasPrefix(after, before) {
		t.Errorf("the block of %d bytes was overwritten, and has %d: correct SECURITY.md", len(before), len(after))
	}
	serve.Stop()
}
