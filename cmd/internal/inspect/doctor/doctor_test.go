package doctor_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/inspect/doctor"
	"clientele/consumer"
	"clientele/domain"
	"clientele/publisher/publishertest"
	"clientele/store/sqlite"

	"github.com/nats-io/nats.go/jetstream"
)

// installation is a NATS server and a SQLite database, as inside serve.
type installation struct {
	doctor.Config

	nats *publishertest.Server
	js   jetstream.JetStream
}

func start(t *testing.T) *installation {
	t.Helper()
	s := &installation{nats: publishertest.Start(t)}
	s.Conn = s.nats.Connect(t)
	var err error
	if s.js, err = jetstream.New(s.Conn); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Migrate(t.Context(), s.js); err != nil {
		t.Fatal(err)
	}
	s.ServeDir, s.Memory = t.TempDir(), 8<<30
	if err := os.Symlink(s.nats.Dir(), filepath.Join(s.ServeDir, "nats")); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(s.ServeDir, "clientele.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Store = db
	return s
}

// result returns the worst finding of a check.
func result(t *testing.T, cfg doctor.Config, name string) (worst inspect.Finding) {
	t.Helper()
	for _, f := range doctor.Run(t.Context(), cfg).Checks {
		if f.Name == name && (worst.Name == "" || worst.Result.Worse(f.Result) != worst.Result) {
			worst = f
		}
	}
	return worst
}

// TestEachCheckFindsABrokenSetUp breaks one thing after the other.
func TestEachCheckFindsABrokenSetUp(t *testing.T) {
	t.Parallel()
	varz := func(body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		t.Cleanup(server.Close)
		return server.URL
	}
	file := func(mode os.FileMode, content string) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := "aaaaaaaa " + strings.Repeat("0", 64) + " crm clients:write "
	change := func(f func(*jetstream.StreamConfig)) func(*installation) {
		return func(s *installation) {
			log, err := s.js.Stream(t.Context(), domain.StreamCommands)
			if err != nil {
				t.Fatal(err)
			}
			settings := log.CachedInfo().Config
			f(&settings)
			if _, err := s.js.UpdateStream(t.Context(), settings); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		check string
		spoil func(*installation)
		want  inspect.Health
		found string
	}{
		"an old server in the cluster":    {"NATS version", func(s *installation) { s.Monitors = []string{varz(`{"server_name":"nats-2","version":"2.14.3"}`)} }, inspect.Fail, "nats-2 has nats-server 2.14.3"},
		"an upgrade that is not complete": {"NATS version", func(s *installation) { s.Monitors = []string{varz(`{"server_name":"nats-2","version":"2.99.0"}`)} }, inspect.Warn, "different versions"},
		"a server that does not sync": {"NATS sync", func(s *installation) {
			s.ServeDir, s.Monitors = "", []string{varz(`{"server_name":"nats-1","version":"2.15.2","jetstream":{"config":{"sync_interval":120000000000}}}`)}
		}, inspect.Fail, "nats-1 does not sync every write"},
		"a server that cannot be asked": {"NATS sync", func(s *installation) { s.ServeDir, s.Monitors = "", []string{"http://127.0.0.1:1"} }, inspect.Warn, "monitoring port"},
		"nobody to ask":                 {"NATS sync", func(s *installation) { s.ServeDir = "" }, inspect.Warn, "not known from here"},
		"a log that drops commands":     {"streams", change(func(c *jetstream.StreamConfig) { c.Discard, c.DiscardNewPerSubject = jetstream.DiscardOld, false }), inspect.Fail, "CLIENT_COMMANDS drops commands"},
		"a missing stream": {"status", func(s *installation) {
			if err := s.js.DeleteStream(t.Context(), domain.StreamRejections); err != nil {
				t.Fatal(err)
			}
		}, inspect.Fail, "CLIENT_REJECTIONS is missing"},
		"staging on disk":       {"staging", func(*installation) {}, inspect.Warn, "staged on disk"},
		"a directory of others": {"disk", func(s *installation) { s.ServeDir = filepath.Join(t.TempDir(), "missing") }, inspect.Warn, "cannot be measured"},
		"too little memory":     {"memory", func(s *installation) { s.Memory = 512 << 20 }, inspect.Warn, "a full log of 1073741824 bytes needs"},
		"a NATS without a limit": {"memory", func(s *installation) {
			s.ServeDir, s.Monitors = "", []string{varz(`{"server_name":"nats-1","version":"2.15.2"}`)}
		}, inspect.Warn, "no GOMEMLIMIT"},
		"a NATS with a small limit": {"memory", func(s *installation) {
			s.ServeDir, s.Monitors = "", []string{varz(`{"server_name":"nats-1","version":"2.15.2","gomemlimit":1000000}`)}
		}, inspect.Warn, "is 0 MiB"},
		"no schema": {"schema", func(s *installation) {
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "new.db")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			s.Store = db
		}, inspect.Fail, "schema version 0"},
		"no database": {"database", func(s *installation) { s.Store, s.StoreError = nil, errors.Join(os.ErrNotExist, os.ErrClosed) }, inspect.Fail, "does not exist file already closed"},
		"no NATS":     {"NATS", func(s *installation) { s.Conn, s.NATSError = nil, os.ErrDeadlineExceeded }, inspect.Fail, "timeout"},
		"a clock that is off": {"clocks", func(s *installation) {
			s.Monitors = []string{varz(`{"server_name":"nats-2","now":"2020-01-01T00:00:00Z"}`)}
		}, inspect.Fail, "the clock of nats-2"},
		"no certificate":          {"certificates", func(s *installation) { s.Certificates = map[string]string{"--tls-cert": file(0o600, "nonsense")} }, inspect.Fail, "no PEM certificate"},
		"a key that others write": {"keys file", func(s *installation) { s.KeysFile = file(0o666, key+"never\n") }, inspect.Fail, "others than its owner may write it"},
		"a key that has expired":  {"keys file", func(s *installation) { s.KeysFile = file(0o600, key+"2020-01-01T00:00:00Z\n") }, inspect.Fail, "none of its 1 keys is valid"},
		"no API":                  {"synthetic client", func(s *installation) { s.API = &doctor.API{URL: "http://127.0.0.1:1"} }, inspect.Fail, "does not respond"},
		"another API":             {"synthetic client", func(s *installation) { s.API = &doctor.API{URL: varz("{}")} }, inspect.Fail, "responds with 200"},
		"no process":              {"processes", func(*installation) {}, inspect.Warn, "no process announces itself"},
		"no log": {"synthetic client", func(s *installation) {
			if err := s.js.DeleteStream(t.Context(), domain.StreamCommands); err != nil {
				t.Fatal(err)
			}
		}, inspect.Fail, "the log does not accept it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c.spoil(s)
			got := result(t, s.Config, c.check)
			if got.Result != c.want || !strings.Contains(got.Found, c.found) || got.Do == "" || got.See == "" {
				t.Errorf("%s: %+v, want %s: %s", c.check, got, c.want, c.found)
			}
		})
	}
}

// TestNothingIsLeftBehind runs every check, and compares streams and files with those before.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	s := start(t)
	publishertest.StageInMemory(t, s.nats.Dir())
	for _, dir := range []string{s.ServeDir, ""} {
		cfg := s.Config
		cfg.ServeDir = dir
		r := doctor.Run(t.Context(), cfg)
		unknown := []string{"staging", "status", "processes", "disk"} // a system without /dev/shm, without a process, and with a slow disk
		for _, f := range r.Checks {
			if f.Result != inspect.OK && dir != "" && !slices.Contains(unknown, f.Name) {
				t.Errorf("%+v", f)
			}
		}
		for _, name := range inspect.Streams {
			stream, err := s.js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if n := stream.CachedInfo().State.Msgs; n != 0 {
				t.Errorf("%s has %d messages", name, n)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(s.ServeDir, "doctor.*")); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
	}
}
