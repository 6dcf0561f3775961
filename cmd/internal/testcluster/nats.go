package testcluster

import (
	"fmt"
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
	ours := map[string]string{"/data": t.TempDir(), "127.0.0.1:8222": "127.0.0.1:-1", "0.0.0.0:4222": "127.0.0.1:-1"}
	maps.Copy(ours, main)
	s := &NATSServer{Config: filepath.Join(dir, "nats.conf"), Data: ours["/data"]}
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

// NATSCluster is three nats-server processes with routes to each other.
type NATSCluster struct {
	Servers   []*NATSServer
	Addresses []string // of the routes
}

// StartNATSCluster starts three servers with the files of deploy/nats, without accounts, after replacing text in their files. Server i
// has its data in dirs[i], if dirs are given.
func StartNATSCluster(t testing.TB, replaced map[string]string, dirs ...string) *NATSCluster {
	t.Helper()
	c := &NATSCluster{}
	var routes []string
	for range 3 {
		address := FreeAddress(t)
		c.Addresses = append(c.Addresses, address)
		routes = append(routes, "tls://server:"+Password+"@"+address)
	}
	t.Setenv("NATS_CLUSTER_PASSWORD", Password)
	t.Setenv("NATS_ROUTES", "["+strings.Join(routes, ", ")+"]")
	for i, address := range c.Addresses {
		c.name(t, i)
		all := map[string]string{"0.0.0.0:6222": address}
		maps.Copy(all, replaced)
		main := map[string]string{`include "accounts.conf"`: "", `# include "cluster.conf"`: `include "cluster.conf"`}
		if len(dirs) > 0 {
			main["/data"] = dirs[i]
		}
		c.Servers = append(c.Servers, StartNATSServerWith(t, main, all))
	}
	return c
}

// name sets the name of server i, which the server reads at its start.
func (c *NATSCluster) name(t testing.TB, i int) {
	t.Setenv("NATS_SERVER_NAME", fmt.Sprint("nats-", i+1))
}

// Restart starts server i again after its end, at the same address.
func (c *NATSCluster) Restart(t testing.TB, i int) {
	t.Helper()
	c.name(t, i)
	c.Servers[i].Restart(t)
}
