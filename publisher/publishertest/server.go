// Package publishertest starts a real NATS server in the process of a test. JetStream is on disk and syncs every write.
package publishertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"clientele/domain"
	"clientele/publisher/streams"
	"clientele/store/storetest"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Streams are the settings of the streams that Start creates.
var Streams = streams.Config{Replicas: 1, LogMaxBytes: 1 << 30, EventRetention: time.Hour}

// Server is a NATS server on loopback that a test can stop and start.
type Server struct {
	opts   server.Options
	server *server.Server
}

// Start returns a running server with Clientele's streams. It is stopped, and its files are removed, when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	port, err := storetest.FreePort() // nobody else takes it while the server is down
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{opts: server.Options{
		Host:       "127.0.0.1",
		Port:       port,
		NoSigs:     true,
		NoLog:      true,
		JetStream:  true,
		StoreDir:   t.TempDir(),
		SyncAlways: true,
	}}
	s.Up(t)
	t.Cleanup(s.Down)
	js, err := jetstream.New(s.Connect(t), jetstream.WithDefaultTimeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := streams.Migrate(context.Background(), js, Streams); err != nil {
		t.Fatal(err)
	}
	return s
}

// Up starts the server. After Down, it has the same address as before.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	opts := s.opts
	var err error
	if s.server, err = server.NewServer(&opts); err != nil {
		t.Fatal(err)
	}
	s.server.Start()
	if !s.server.ReadyForConnections(time.Minute) {
		t.Fatal("NATS is not ready after a minute")
	}
}

// Down stops the server.
func (s *Server) Down() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// Limit restarts the server with a limit for all its files, in bytes.
func (s *Server) Limit(t testing.TB, maxStore int64) {
	t.Helper()
	s.Down()
	s.opts.JetStreamMaxStore = maxStore
	s.Up(t)
}

// LimitAccount sets the limit for the files of the account, in bytes.
func (s *Server) LimitAccount(t testing.TB, maxStore int64) {
	t.Helper()
	limits := map[string]server.JetStreamAccountLimits{"": {
		MaxMemory: -1, MaxStore: maxStore, MaxStreams: -1, MaxConsumers: -1, MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1,
	}}
	if err := s.server.GlobalAccount().UpdateJetStreamLimits(limits); err != nil {
		t.Fatal(err)
	}
}

// Dir returns the directory of the server's files.
func (s *Server) Dir() string { return s.opts.StoreDir }

// URL returns the URL of the server.
func (s *Server) URL() string { return s.server.ClientURL() }

// Connect returns a connection like that of a Clientele process: it reconnects automatically, and without a connection, publishes
// fail immediately.
func (s *Server) Connect(t testing.TB) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.URL(),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.Timeout(20*time.Second), // of the handshake; the library waits 2 s, which a busy machine can need
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// StageInMemory makes a running nats-server stage batches in memory until it stops, like the mounts in docker-compose.yml, but
// without permission to mount. On a system without /dev/shm, batches stay on disk.
func StageInMemory(t testing.TB, storeDir string) {
	t.Helper()
	memory, err := os.MkdirTemp("/dev/shm", "clientele-test-") //nolint:usetesting // t.TempDir is on disk
	if os.IsNotExist(err) {
		t.Log("batches are staged on disk: ", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	for _, stream := range []string{domain.StreamCommands, domain.StreamEvents} {
		staging := filepath.Join(memory, stream)
		batches := filepath.Join(storeDir, server.JetStreamStoreDir, "$G", "streams", stream, "batches")
		if err := errors.Join(os.Mkdir(staging, 0o700), os.RemoveAll(batches), os.Symlink(staging, batches)); err != nil {
			t.Fatal(err)
		}
	}
}
