package systemtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/publisher/publishertest"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// routedCluster is a cluster with the files of deploy/nats.
type routedCluster struct{ *testcluster.NATSCluster }

// rogue starts a server with a route to the first server, and returns a subscription to everything that it receives.
func (c routedCluster) rogue(t *testing.T, cluster string) *nats.Subscription {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rogue.conf")
	config := "server_name: rogue\nlisten: 127.0.0.1:-1\ncluster { name: clientele, listen: 127.0.0.1:-1, " + cluster + " }"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	process := testcluster.Start(t, testcluster.Program(t, "nats-server"), "--config", file)
	nc := connect(t, "nats://"+process.Says(`Listening for client connections on (\S+)`))
	everything, err := nc.SubscribeSync("client.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return everything
}

func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(testcluster.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// publish publishes messages through the first server until the subscription has one.
func (c routedCluster) publish(t *testing.T, subscription *nats.Subscription) {
	t.Helper()
	nc := connect(t, c.Servers[0].URL)
	publishertest.Eventually(t, "a message", func() bool {
		if err := nc.Publish("client.created", []byte("secret")); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		n, _, err := subscription.Pending()
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	})
}

// TestARogueServerGetsNothing checks that a server needs both the password and a certificate for a route to a cluster with the files of
// deploy/nats.
func TestARogueServerGetsNothing(t *testing.T) {
	t.Parallel()
	authority := testcluster.NewAuthority(t)
	authority.Issue("server")
	c := routedCluster{testcluster.StartNATSCluster(t, map[string]string{"/etc/clientele/tls": authority.Dir})}
	js := testcluster.JetStream(t, c.Servers[2].URL)
	publishertest.Eventually(t, "a stream on three servers", func() bool {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Replicas: 3})
		return err == nil
	})
	certificate, key := authority.Issue("rogue")
	forged, forgedKey := testcluster.NewAuthority(t).Issue("server")
	const password, handshake, user = "server:" + testcluster.Password + "@", "TLS Handshake Failure", "Authentication Failure"
	route := func(user string) string { return "routes: [tls://" + user + c.Addresses[0] + "]\n" }
	ca := fmt.Sprintf("ca_file: %q", authority.File("ca.crt"))
	tls := func(certificate, key string) string {
		return fmt.Sprintf("tls { cert_file: %q, key_file: %q, %s }", certificate, key, ca)
	}
	for name, try := range map[string]struct{ cluster, refusal string }{
		"nothing":                            {route(""), handshake},
		"a password only":                    {route(password), handshake},
		"no certificate":                     {route(password) + "tls { " + ca + " }", handshake},
		"a certificate of another authority": {route(password) + tls(forged, forgedKey), handshake},
		"a certificate only":                 {route("") + tls(certificate, key), user},
		"a wrong password":                   {route("server:wrong@") + tls(certificate, key), user},
	} {
		t.Run(name, func(t *testing.T) {
			before := strings.Count(c.Servers[0].Output(), try.refusal)
			received := c.rogue(t, try.cluster)
			publishertest.Eventually(t, "refusals", func() bool { return strings.Count(c.Servers[0].Output(), try.refusal) > before+1 })
			witness, err := connect(t, c.Servers[1].URL).SubscribeSync("client.>")
			if err != nil {
				t.Fatal(err)
			}
			c.publish(t, witness)
			if n, _, err := received.Pending(); n > 0 || err != nil {
				t.Errorf("%d messages (%v)", n, err)
			}
		})
	}
	t.Run("the password and a certificate", func(t *testing.T) {
		c.publish(t, c.rogue(t, route(password)+tls(certificate, key)))
	})
}

// TestAnOpenClusterGivesARogueServerEverything shows what the authorization and the TLS of cluster.conf prevent.
func TestAnOpenClusterGivesARogueServerEverything(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("../../../deploy/nats/cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	begin, end := strings.Index(string(config), "  authorization {"), strings.Index(string(config), "  routes:")
	c := routedCluster{testcluster.StartNATSCluster(t, map[string]string{string(config[begin:end]): ""})}
	c.publish(t, c.rogue(t, "routes: [nats://"+c.Addresses[0]+"]"))
}

// TestMonitoringIsNotOpen checks that no file of deploy/nats serves the monitoring port to other machines.
func TestMonitoringIsNotOpen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nats.conf", "local.conf"} {
		options, err := server.ProcessConfigFile(filepath.Join("../../../deploy/nats", name))
		if err != nil {
			t.Fatal(err)
		}
		if served := options.HTTPPort != 0 || options.HTTPSPort != 0; served && options.HTTPHost != "127.0.0.1" {
			t.Errorf("%s: monitoring at %q", name, options.HTTPHost)
		}
	}
}
