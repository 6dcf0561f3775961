package embedded_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/embedded"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// start starts a server on the directory, which stops after the test, and connects to it.
func start(t *testing.T, dir string) (*embedded.NATS, jetstream.JetStream) {
	t.Helper()
	s, js, err := startWith(t, embedded.NATSConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s, js
}

// A power loss may leave a file longer than its data.
func TestAStreamThatEndsInZeros(t *testing.T) {
	dir := t.TempDir()
	first, js := start(t, dir)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	js.Conn().Close()
	first.Stop() // writes the index of an empty stream

	_, js = start(t, dir)
	const messages = 3
	for range messages {
		if _, err := js.Publish(t.Context(), "s", []byte("synced")); err != nil {
			t.Fatal(err)
		}
	}
	afterwards := filepath.Join(t.TempDir(), "data [2]") // the disk after a power loss now
	if err := os.CopyFS(afterwards, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	block, err := os.OpenFile(filepath.Join(afterwards, "jetstream", "$G", "streams", "S", "msgs", "1.blk"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Close()
	if _, err := block.Write(make([]byte, 300)); err != nil {
		t.Fatal(err)
	}

	_, js = start(t, afterwards)
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != messages {
		t.Errorf("%d messages, want %d", n, messages)
	}
	if ack, err := js.Publish(t.Context(), "s", nil); err != nil || ack.Sequence != messages+1 {
		t.Errorf("the next message: %+v, %v", ack, err)
	}
}

// A process that ends while it rewrites a block, to erase a message, leaves a copy of the block.
func TestAnInterruptedRewrite(t *testing.T) {
	dir := t.TempDir()
	first, js := start(t, dir)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	js.Conn().Close()
	first.Stop()
	block := filepath.Join(dir, "jetstream", "$G", "streams", "S", "msgs", "1.blk")
	content, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(block+".tmp", content, 0o600); err != nil {
		t.Fatal(err)
	}

	_, js = start(t, dir)
	if _, err := os.Stat(block + ".tmp"); !os.IsNotExist(err) {
		t.Errorf("the copy still exists (%v)", err)
	}
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := s.GetMsg(t.Context(), 1); err != nil || string(msg.Data) != "kept" {
		t.Errorf("%v, %v", msg, err)
	}
}

func TestEveryWriteIsSynced(t *testing.T) {
	s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if cfg := s.JetStreamConfig(); cfg == nil || !cfg.SyncAlways {
		t.Errorf("JetStream is configured as %+v", cfg)
	}
	if !strings.HasPrefix(s.ClientURL(), "nats://127.0.0.1:") {
		t.Errorf("it listens at %s", s.ClientURL())
	}
}

// With an empty directory, the server would use the system's temporary directory, and a reboot would delete the log.
func TestNoDirectory(t *testing.T) {
	if _, err := embedded.StartNATS(embedded.NATSConfig{Listen: "127.0.0.1:0"}); err == nil {
		t.Error("started without a directory")
	}
}
