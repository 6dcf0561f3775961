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
	Host   *Host      // nil for this machine
	Before []*Process // earlier processes of the server, before each restart

	environment []string
}

// StartNATSServer starts a nats-server with the files of deploy/nats, without accounts.
func StartNATSServer(t testing.TB) *NATSServer {
	t.Helper()
	return StartNATSServerWith(t, map[string]string{`include "accounts.conf"`: ""}, nil)
}

// StartNATSServerWith starts a server with the files of deploy/nats after replacing text: main applies to nats.conf, all to every file.
func StartNATSServerWith(t testing.TB, main, all map[string]string) *NATSServer {
	t.Helper()
	s := &NATSServer{}
	s.configure(t, main, all)
	s.start(t)
	return s
}

// configure writes the files of deploy/nats with this text replaced.
func (s *NATSServer) configure(t testing.TB, main, all map[string]string) {
	t.Helper()
	dir := t.TempDir()
	ours := map[string]string{"/data": t.TempDir()}
	if s.Host == nil {
		ours["0.0.0.0:4222"], ours["127.0.0.1:8222"] = FreeAddress(t), "127.0.0.1:-1"
	} else {
		ours["127.0.0.1:8222"] = s.Host.Address + ":8222" // for the test, which is on another host
	}
	maps.Copy(ours, main)
	s.Config, s.Data = filepath.Join(dir, "nats.conf"), ours["/data"]
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
}

func (s *NATSServer) start(t testing.TB) {
	t.Helper()
	if s.Process != nil {
		s.Before = append(s.Before, s.Process)
	}
	s.Process = startOn(t, s.Host, s.environment, Program(t, "nats-server"), "--config", s.Config)
	s.URL = "nats://" + s.Says(`Listening for client connections on (\S+)`)
	if s.Host != nil {
		s.URL = "nats://" + s.Host.Address + ":4222"
	}
	s.Says("Server is ready")
}

// Restart starts the server again after its end, at the same address.
func (s *NATSServer) Restart(t testing.TB) {
	t.Helper()
	s.start(t)
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
	return StartNATSClusterOn(t, make([]*Host, 3), replaced, dirs...)
}

// StartNATSClusterOn is StartNATSCluster with server i on hosts[i].
func StartNATSClusterOn(t testing.TB, hosts []*Host, replaced map[string]string, dirs ...string) *NATSCluster {
	t.Helper()
	c := &NATSCluster{}
	var routes []string
	for _, host := range hosts {
		address := FreeAddress(t)
		if host != nil {
			address = host.Address + ":6222"
		}
		c.Addresses = append(c.Addresses, address)
		routes = append(routes, "tls://server:"+Password+"@"+address)
	}
	for i, host := range hosts {
		all := map[string]string{}
		if host == nil {
			all["0.0.0.0:6222"] = c.Addresses[i]
		}
		maps.Copy(all, replaced)
		main := map[string]string{`include "accounts.conf"`: "", `# include "cluster.conf"`: `include "cluster.conf"`}
		if len(dirs) > 0 {
			main["/data"] = dirs[i]
		}
		s := &NATSServer{Host: host, environment: []string{
			fmt.Sprint("NATS_SERVER_NAME=nats-", i+1),
			"NATS_CLUSTER_PASSWORD=" + Password,
			"NATS_ROUTES=[" + strings.Join(routes, ", ") + "]",
		}}
		s.configure(t, main, all)
		s.start(t)
		c.Servers = append(c.Servers, s)
	}
	return c
}
