package main

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/embedded"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/publishertest"

	"github.com/rs/zerolog"
)

// serve whose files are moved away, which it would not notice by itself, ends instead of accepting into nowhere; when they
// are back, so is everything.
func TestFilesThatAreMovedAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, what, want string }{
		{"the data directory", "", "bring"},
		{"the streams", "nats", "the streams are gone, bring them back and start again"},
		{"the database", "clientele.db", "the database is gone, bring it back and start again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			serve := clientele(t, "serve", "--data-dir", dir)
			operation := accepted(t, serve.api(), jane, "")
			before := succeeded(t, serve.api(), operation)
			here, away := filepath.Join(dir, c.what), filepath.Join(t.TempDir(), "away")
			if err := os.Rename(here, away); err != nil {
				t.Fatal(err)
			}
			if status := serve.wait(); status != exitError {
				t.Errorf("exit status %d", status)
			}
			if !strings.Contains(serve.output(), "\nclientele: ") || !strings.Contains(serve.output(), c.want) {
				t.Error(serve.output())
			}
			_ = os.RemoveAll(here) // what was begun in its place
			if err := os.Rename(away, here); err != nil {
				t.Fatal(err)
			}
			serve = clientele(t, "serve", "--data-dir", dir)
			if after := succeeded(t, serve.api(), operation); after != before {
				t.Errorf("afterwards %s", after)
			}
			serve.stop()
		})
	}
}

// What is deleted by hand is missed, not made anew in silence: serve is not ready, does not start again, and says what to
// do; migrate makes it anew.
func TestAPartIsDeleted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, stream, want string }{
		{"the consumer", "", "consumer worker of stream CLIENT_COMMANDS is missing"},
		{"the commands", domain.StreamCommands, "stream CLIENT_COMMANDS is missing"},
		{"the events", domain.StreamEvents, "stream CLIENT_EVENTS is missing"},
		{"the rejections", domain.StreamRejections, "stream CLIENT_REJECTIONS is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			serve := clientele(t, "serve", "--data-dir", dir)
			operation := accepted(t, serve.api(), jane, "")
			succeeded(t, serve.api(), operation)
			js := jetStream(t, serve.says(natsIsAt))
			var err error
			if c.stream == "" {
				err = js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker)
			} else {
				err = js.DeleteStream(context.Background(), c.stream)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := get(t, serve.admin()+"/readyz")
			if r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, c.want) {
				t.Errorf("readyz: %d %s", r.status, r.body)
			}
			serve.stop()

			again := clientele(t, "serve", "--data-dir", dir)
			if status := again.wait(); status != exitError || !strings.Contains(again.output(), c.want+": run clientele migrate (with the same --data-dir") {
				t.Errorf("exit status %d: %s", status, again.output())
			}
			if status, _, stderr := runLine(t, "migrate", "--data-dir", dir, "--log-level=error"); status != exitOK {
				t.Fatalf("migrate: %d %s", status, stderr)
			}
			again = clientele(t, "serve", "--data-dir", dir)
			again.ready()
			if c.stream != domain.StreamCommands {
				succeeded(t, again.api(), operation)
			}
			succeeded(t, again.api(), accepted(t, again.api(), jane, ""))
			again.stop()
		})
	}
}

// A database that is empty beside a log that is not was lost, or is another one.
func TestTheDatabaseIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := clientele(t, "serve", "--data-dir", dir)
	succeeded(t, serve.api(), accepted(t, serve.api(), jane, ""))
	serve.stop()
	if err := os.Remove(filepath.Join(dir, "clientele.db")); err != nil {
		t.Fatal(err)
	}
	again := clientele(t, "serve", "--data-dir", dir)
	const want = "clientele: the database is empty, but the command log has had commands: run clientele migrate"
	if status := again.wait(); status != exitError || !strings.Contains(again.output(), want) {
		t.Errorf("exit status %d: %s", status, again.output())
	}
}

// The worker of separate processes waits for a consumer that was deleted, and takes up everything when migrate has made it
// anew.
func TestTheConsumerIsDeletedUnderAWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ingress, worker := s.clientele("ingress"), s.clientele("worker")
	js := jetStream(t, s.nats.url)
	if err := js.DeleteConsumer(context.Background(), domain.StreamCommands, domain.ConsumerWorker); err != nil {
		t.Fatal(err)
	}
	operation := accepted(t, ingress.api(), jane, "")
	publishertest.Eventually(t, "the worker says what is missing", func() bool {
		r := get(t, worker.admin()+"/readyz")
		return r.status == http.StatusServiceUnavailable && strings.Contains(r.body, "run clientele migrate")
	})
	if status := clientele(t, "migrate", s.flags...).wait(); status != exitOK {
		t.Fatalf("migrate: exit status %d", status)
	}
	succeeded(t, ingress.api(), operation)
	worker.ready()
}

// A database that a newer program has made is left alone.
func TestServeOnANewerDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := clientele(t, "serve", "--data-dir", dir)
	serve.ready()
	serve.stop()
	db, err := sql.Open("sqlite", filepath.Join(dir, "clientele.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO clientele_schema (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	again := clientele(t, "serve", "--data-dir", dir, "--event-retention=1h")
	const want = "clientele: the database has schema version 999, newer than this program's 1: run a newer clientele\n"
	if status := again.wait(); status != exitError || !strings.HasSuffix(again.output(), want) {
		t.Errorf("exit status %d: %s", status, again.output())
	}
	// Nor are the streams changed, which belong to the newer program, too.
	server, err := embedded.StartNATS(embedded.NATSConfig{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	events, err := jetStream(t, server.ClientURL()).Stream(context.Background(), domain.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if age := events.CachedInfo().Config.MaxAge; age != publisher.DefaultEventRetention {
		t.Errorf("events are kept for %s now", age)
	}
}

// What an operator chose stays when migrate, or a later serve, does not choose again: shorter, it would delete events.
func TestSettingsStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := func(want time.Duration, args ...string) {
		t.Helper()
		serve := clientele(t, "serve", append(args, "--data-dir", dir)...)
		serve.ready()
		js := jetStream(t, serve.says(natsIsAt))
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
		serve.stop()
	}
	settings(30 * 24 * time.Hour)
	settings(8760*time.Hour, "--event-retention=8760h")
	if status, _, stderr := runLine(t, "migrate", "--data-dir", dir, "--log-level=error"); status != exitOK {
		t.Fatalf("migrate: %d %s", status, stderr)
	}
	settings(8760 * time.Hour)
	settings(time.Hour, "--event-retention=1h")
}

// A stream that is there, but cannot be read, is not called missing.
func TestAStreamThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve := clientele(t, "serve", "--data-dir", dir)
	operation := accepted(t, serve.api(), jane, "")
	succeeded(t, serve.api(), operation)
	serve.stop()
	meta := filepath.Join(dir, "nats", "jetstream", "$G", "streams", domain.StreamCommands, "meta.inf")
	sound, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, append([]byte("x"), sound...), 0o600); err != nil {
		t.Fatal(err)
	}
	again := clientele(t, "serve", "--data-dir", dir)
	if status := again.wait(); status != exitError || !strings.Contains(again.output(), "clientele: the embedded NATS cannot go on, see to the disk of ") {
		t.Errorf("exit status %d: %s", status, again.output())
	}
	if err := os.WriteFile(meta, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	again = clientele(t, "serve", "--data-dir", dir)
	succeeded(t, again.api(), operation)
	again.stop()
}

// A process that cannot go on ends also while it waits for a server.
func TestFilesAreMovedAwayFromAProcessThatWaits(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	serve := clientele(t, "serve", "--data-dir", dir, "--database-url=postgres://nobody@127.0.0.1:1/nothing")
	serve.says("waiting for the streams and the database")
	if err := os.Rename(dir, dir+" elsewhere"); err != nil {
		t.Fatal(err)
	}
	if status := serve.wait(); status != exitError || !strings.Contains(serve.output(), "clientele: the streams are gone") {
		t.Errorf("exit status %d: %s", status, serve.output())
	}
}
