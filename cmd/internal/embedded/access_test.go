package embedded_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/embedded"
	"clientele/domain"
	"clientele/publisher/streams"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// startWith starts a server, which stops after the test, and connects to it.
func startWith(t *testing.T, cfg embedded.NATSConfig) (*embedded.NATS, jetstream.JetStream, error) {
	t.Helper()
	cfg.Log = zerolog.New(zerolog.NewTestWriter(t))
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	s, err := embedded.StartNATS(cfg)
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(s.Stop)
	nc, err := nats.Connect(s.ClientURL(), s.Option(), nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return s, js, nil
}

// The server warns of passwords in a configuration file that are not hashed, and not of the credential of this process.
func TestPlaintextPasswords(t *testing.T) {
	t.Parallel()
	const hashed = "$2a$04$uQ0ujkErVGj4Zf8Dwmtn4uTNHwSBzAvwJNsM0kOhVy3lLVUGCTCeC"
	for users, warns := range map[string]bool{
		"":                                      false,
		`{user: a, password: "` + hashed + `"}`: false,
		`{user: a, password: "` + hashed + `"}, {user: b, password: "secret"}`: true,
	} {
		var log bytes.Buffer
		cfg := embedded.NATSConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.New(&log)}
		if users != "" {
			cfg.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
			if err := os.WriteFile(cfg.ConfigFile, []byte("authorization { users: [ "+users+" ] }"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := embedded.StartNATS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.Stop()
		if strings.Contains(log.String(), "Plaintext passwords") != warns {
			t.Errorf("%s: want a warning: %v: %s", users, warns, log.String())
		}
	}
}

func TestAccounts(t *testing.T) {
	for _, role := range []string{"INGRESS", "WORKER", "OPERATOR", "MAILER", "FORWARD"} {
		t.Setenv("NATS_"+role+"_PASSWORD", "password-of-a-test")
	}
	const accounts = "../../../deploy/nats/accounts.conf"
	if _, _, err := startWith(t, embedded.NATSConfig{Dir: t.TempDir(), Listen: "0.0.0.0:0"}); err == nil || !strings.Contains(err.Error(), "deploy/nats/accounts.conf") {
		t.Errorf("on a network and without users: %v", err)
	}
	for content, want := range map[string]string{
		"authorization { user: a, password: b }":                                  "give each program a user",
		"accounts { A: { users: [{user: a, password: b}], jetstream: enabled } }": "none with the name CLIENTELE",
		"accounts { CLIENTELE: { users: [{user: a, password: b}] } }":             "the account CLIENTELE has no JetStream",
	} {
		file := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := startWith(t, embedded.NATSConfig{Dir: t.TempDir(), ConfigFile: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
	s, js, err := startWith(t, embedded.NATSConfig{Dir: t.TempDir(), Listen: "0.0.0.0:0", ConfigFile: accounts})
	if err != nil {
		t.Fatal(err)
	}
	if err := streams.Migrate(t.Context(), js, streams.Config{}); err != nil {
		t.Fatalf("the process itself: %v", err)
	}
	if err := s.StageInMemory(); err != nil {
		t.Error(err)
	}
	if nc, err := nats.Connect(s.ClientURL()); err == nil {
		nc.Close()
		t.Error("it lets in who is no user")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("mailer", "password-of-a-test"), nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), domain.StreamEvents); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a subscriber looks at the stream: %v", err)
	}
}

// TestEncryption checks that the disk has no plain text of a message, and that a restart requires the same key.
func TestEncryption(t *testing.T) {
	dir := t.TempDir()
	key, marked := strings.Repeat("k", 32), []byte("marked-value")
	s, js, err := startWith(t, embedded.NATSConfig{Dir: dir, EncryptionKey: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", marked); err != nil {
		t.Fatal(err)
	}
	js.Conn().Close()
	s.Stop()
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 && path != dir {
			t.Errorf("%s is %v", path, info.Mode())
		}
		if entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, marked) {
			t.Errorf("%s has the message", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, _, err := startWith(t, embedded.NATSConfig{Dir: dir, EncryptionKey: strings.Repeat("x", 32)}); err == nil {
		t.Errorf("another key opens it: %v", s.Health())
	} else {
		t.Log(err)
	}
	s, js, err = startWith(t, embedded.NATSConfig{Dir: dir, EncryptionKey: key})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := stream.GetMsg(t.Context(), 1); err != nil || !bytes.Equal(msg.Data, marked) {
		t.Errorf("%v, %v", msg, err)
	}
	js.Conn().Close()
	s.Stop()
}
