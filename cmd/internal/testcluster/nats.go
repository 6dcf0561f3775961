package testcluster

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// NATSServer is a nats-server process with the configuration of deploy/nats.
type NATSServer struct {
	*Process
	URL    string
	Config string
	Data   string     // its directory
	Before []*Process // earlier processes of the server, before each restart
}

// StartNATSServer starts a nats-server with the files of deploy/nats, without accounts.
func StartNATSServer(t testing.TB) *NATSServer {
	t.Helper()
	return StartNATSServerWith(t, map[string]string{`include "accounts.conf"`: ""}, nil)
}

// StartNATSServerWith starts a server with the files of deploy/nats after replacing text: main applies to nats.conf, all to every file.
func StartNATSServerWith(t testing.TB, main, all map[string]string) *NATSServer {
	t.Helper()
	dir := t.TempDir()
	s := &NATSServer{Config: filepath.Join(dir, "nats.conf"), Data: t.TempDir()}
	ours := map[string]string{"/data": s.Data, "127.0.0.1:8222": "127.0.0.1:-1", "0.0.0.0:4222": "127.0.0.1:-1"}
	maps.Copy(ours, main)
	for _, name := range []string{"nats.conf", "accounts.conf", "tls.conf", "cluster.conf"} {
		deployed, err := os.ReadFile(filepath.Join("../../../deploy/nats", name))
		if err != nil {
			t.Fatal(err)
		}
		config := string(deployed)
		if name == "nats.conf" {
			for old, ours := range ours {
				if !strings.Contains(config, old) {
					t.Fatalf("nats.conf does not say %s", old)
				}
				config = strings.ReplaceAll(config, old, ours)
			}
		}
		for old, ours := range all {
			config = strings.ReplaceAll(config, old, ours)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	return s
}

func (s *NATSServer) start(t testing.TB, args ...string) {
	t.Helper()
	if s.Process != nil {
		s.Before = append(s.Before, s.Process)
	}
	s.Process = Start(t, Program(t, "nats-server"), append([]string{"--config", s.Config}, args...)...)
	s.URL = "nats://" + s.Says(`Listening for client connections on (\S+)`)
	s.Says("Server is ready")
}

// Restart starts the server again after its end, at the same address.
func (s *NATSServer) Restart(t testing.TB) {
	t.Helper()
	s.start(t, "--port", s.URL[strings.LastIndex(s.URL, ":")+1:])
}
