package systemtest

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/embedded"
	"clientele/cmd/internal/testcluster"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"

	"github.com/rs/zerolog"
)

// serve ends when its files are moved away, which SQLite and NATS do not notice. Otherwise it would accept clients and lose them. When
// the files are back, nothing is lost.
func TestFilesThatAreMovedAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, what, want string }{
		{"the data directory", "", "restore"},
		{"the streams", "nats", "the streams are missing: restore them and restart"},
		{"the database", "clientele.db", "the database file is missing: restore it and restart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
			operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
			before := testcluster.Succeeded(t, serve.API(), operation)
			here, away := filepath.Join(dir, c.what), filepath.Join(t.TempDir(), "away")
			if err := os.Rename(here, away); err != nil {
				t.Fatal(err)
			}
			if status := serve.Wait(); status != cli.ExitError {
				t.Errorf("exit status %d", status)
			}
			if !strings.Contains(serve.Output(), "\nclientele: ") || !strings.Contains(serve.Output(), c.want) {
				t.Error(serve.Output())
			}
			_ = os.RemoveAll(here) // files that serve began in their place
			if err := os.Rename(away, here); err != nil {
				t.Fatal(err)
			}
			serve = testcluster.Clientele(t, "serve", "--data-dir", dir)
			if after := testcluster.Succeeded(t, serve.API(), operation); after != before {
				t.Errorf("afterwards %s", after)
			}
			serve.Stop()
		})
	}
}

// Deleted data is never silently recreated: serve is not ready, does not start again, and says what to do. migrate recreates it.
func TestAPartIsDeleted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, stream, want string
		ready              int
	}{
		{"the consumer", "", "consumer worker of stream CLIENT_COMMANDS is missing", http.StatusServiceUnavailable},
		{"the commands", domain.StreamCommands, "stream CLIENT_COMMANDS is missing", http.StatusServiceUnavailable},
		{"the events", domain.StreamEvents, "stream CLIENT_EVENTS is missing", http.StatusServiceUnavailable},
		{"the rejections", domain.StreamRejections, "stream CLIENT_REJECTIONS is missing", http.StatusServiceUnavailable},
		{"the audit trail", domain.StreamAudit, "stream CLIENT_AUDIT is missing", http.StatusOK}, // commands are accepted without it
		{"the state of subscribers", domain.StreamSubscriptions, "stream CLIENT_SUBSCRIPTIONS is missing", http.StatusOK},
		{"the webhooks", domain.StreamWebhooks, "stream KV_CLIENT_WEBHOOKS is missing", http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
			operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
			testcluster.Succeeded(t, serve.API(), operation)
			js := testcluster.JetStream(t, serve.NATSURL())
			var err error
			if c.stream == "" {
				err = js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
			} else {
				err = js.DeleteStream(context.Background(), c.stream)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := testcluster.Get(t, serve.Admin()+"/readyz")
			needed := c.stream != domain.StreamSubscriptions // only webhooks use it
			if r.Status != c.ready || strings.Contains(r.Body, c.want) != needed {
				t.Errorf("readyz: %d %s", r.Status, r.Body)
			}
			serve.Stop()

			again := testcluster.Clientele(t, "serve", "--data-dir", dir)
			if status := again.Wait(); status != cli.ExitError || !strings.Contains(again.Output(), c.want+": the others exist, so it was lost. Restore it, or create it empty: run clientele migrate") {
				t.Errorf("exit status %d: %s", status, again.Output())
			}
			if status, _, stderr := testcluster.RunLine(t, "migrate", "--data-dir", dir, "--log-level=error"); status != cli.ExitOK {
				t.Fatalf("migrate: %d %s", status, stderr)
			}
			again = testcluster.Clientele(t, "serve", "--data-dir", dir)
			again.Ready()
			if c.stream != domain.StreamCommands {
				testcluster.Succeeded(t, again.API(), operation)
			}
			testcluster.Succeeded(t, again.API(), testcluster.Accepted(t, again.API(), testcluster.Jane, ""))
			again.Stop()
		})
	}
}

// An empty database beside a log with commands is lost, or is another database.
func TestTheDatabaseIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	testcluster.Succeeded(t, serve.API(), testcluster.Accepted(t, serve.API(), testcluster.Jane, ""))
	serve.Stop()
	if err := os.Remove(filepath.Join(dir, "clientele.db")); err != nil {
		t.Fatal(err)
	}
	again := testcluster.Clientele(t, "serve", "--data-dir", dir)
	const want = "clientele: the database is empty, but the command log has contained commands: the others exist, so it was lost. Restore it"
	if status := again.Wait(); status != cli.ExitError || !strings.Contains(again.Output(), want) {
		t.Errorf("exit status %d: %s", status, again.Output())
	}
}

// A worker waits for a consumer that was deleted, and processes everything after migrate has recreated it.
func TestTheConsumerIsDeletedUnderAWorker(t *testing.T) {
	t.Parallel()
	s := testcluster.New(t)
	ingress, worker := s.Clientele("ingress"), s.Clientele("worker")
	js := testcluster.JetStream(t, s.NATS.URL)
	if err := js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	operation := testcluster.Accepted(t, ingress.API(), testcluster.Jane, "")
	publishertest.Eventually(t, "the worker says what is missing", func() bool {
		r := testcluster.Get(t, worker.Admin()+"/readyz")
		return r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, "run clientele migrate")
	})
	if status := testcluster.Clientele(t, "migrate", s.Flags...).Wait(); status != cli.ExitOK {
		t.Fatalf("migrate: exit status %d", status)
	}
	testcluster.Succeeded(t, ingress.API(), operation)
	worker.Ready()
}

// serve does not change a database that a newer program migrated.
func TestServeOnANewerDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	serve.Ready()
	serve.Stop()
	db, err := sql.Open("sqlite", filepath.Join(dir, "clientele.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO clientele_schema (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	again := testcluster.Clientele(t, "serve", "--data-dir", dir, "--event-retention=1h")
	const want = "clientele: the database has schema version 999, newer than this program's 7: run a newer clientele\n"
	if status := again.Wait(); status != cli.ExitError || !strings.HasSuffix(again.Output(), want) {
		t.Errorf("exit status %d: %s", status, again.Output())
	}
	// It does not change the streams either: they belong to the newer program too.
	server, err := embedded.StartNATS(embedded.NATSConfig{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	events, err := testcluster.JetStream(t, server.LocalURL()).Stream(context.Background(), domain.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if age := events.CachedInfo().Config.MaxAge; age != streams.DefaultEventRetention {
		t.Errorf("events are kept for %s now", age)
	}
}

// Settings stay when migrate, or a later serve, does not set them again: a shorter retention would delete events.
func TestSettingsStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := func(want time.Duration, args ...string) {
		t.Helper()
		serve := testcluster.Clientele(t, "serve", append(args, "--data-dir", dir)...)
		serve.Ready()
		js := testcluster.JetStream(t, serve.NATSURL())
		events, err := js.Stream(context.Background(), domain.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		commands, err := js.Stream(context.Background(), domain.StreamCommands)
		if err != nil {
			t.Fatal(err)
		}
		if age, size := events.CachedInfo().Config.MaxAge, commands.CachedInfo().Config.MaxBytes; age != want || size != 2<<30 {
			t.Errorf("events are kept for %s, want %s; the log is bounded to %d bytes", age, want, size)
		}
		serve.Stop()
	}
	settings(30 * 24 * time.Hour)
	settings(8760*time.Hour, "--event-retention=8760h")
	if status, _, stderr := testcluster.RunLine(t, "migrate", "--data-dir", dir, "--log-level=error"); status != cli.ExitOK {
		t.Fatalf("migrate: %d %s", status, stderr)
	}
	settings(8760 * time.Hour)
	settings(time.Hour, "--event-retention=1h")
}

// A stream that exists and cannot be read is not reported as missing.
func TestAStreamThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir)
	operation := testcluster.Accepted(t, serve.API(), testcluster.Jane, "")
	testcluster.Succeeded(t, serve.API(), operation)
	serve.Stop()
	meta := filepath.Join(dir, "nats", "jetstream", "$G", "streams", domain.StreamCommands, "meta.inf")
	sound, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, append([]byte("x"), sound...), 0o600); err != nil {
		t.Fatal(err)
	}
	again := testcluster.Clientele(t, "serve", "--data-dir", dir)
	if status := again.Wait(); status != cli.ExitError || !strings.Contains(again.Output(), "clientele: the embedded NATS has failed: check the disk of ") {
		t.Errorf("exit status %d: %s", status, again.Output())
	}
	if err := os.WriteFile(meta, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	again = testcluster.Clientele(t, "serve", "--data-dir", dir)
	testcluster.Succeeded(t, again.API(), operation)
	again.Stop()
}

// A process whose files are gone ends even while it waits for a server.
func TestFilesAreMovedAwayFromAProcessThatWaits(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	serve := testcluster.Clientele(t, "serve", "--data-dir", dir, "--database-url=postgres://nobody@127.0.0.1:1/nothing")
	serve.Says("waiting for the streams and the database")
	if err := os.Rename(dir, dir+" elsewhere"); err != nil {
		t.Fatal(err)
	}
	if status := serve.Wait(); status != cli.ExitError || !strings.Contains(serve.Output(), "clientele: the streams are missing") {
		t.Errorf("exit status %d: %s", status, serve.Output())
	}
}
