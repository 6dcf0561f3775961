package callers_test

import (
	"testing"

	"clientele/cmd/internal/callers"
)

func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	type listener struct {
		listen  string
		options callers.Options
	}
	withKeys := callers.Options{KeysFile: "keys"}
	loopback, keys := listener{"127.0.0.1:8080", callers.Options{}}, listener{"127.0.0.1:8080", withKeys}
	open, network := listener{"0.0.0.0:8080", callers.Options{}}, listener{":8443", withKeys}
	named := []string{"Clients.example.com.", "192.0.2.7"}
	for _, c := range []struct {
		name    string
		on      listener
		allowed []string
		host    string
		want    bool
	}{
		{"localhost", loopback, nil, "localhost:8080", true},
		{"localhost in capitals, with the dot of the root", loopback, nil, "LOCALHOST.", true},
		{"the address", loopback, nil, "127.0.0.1:8080", true},
		{"another address of loopback", loopback, nil, "127.9.9.9", true},
		{"IPv6", loopback, nil, "[::1]:8080", true},
		{"IPv6 without a port", loopback, nil, "[::1]", true},
		{"another name", loopback, nil, "attacker.example:8080", false},
		{"another name, with keys", keys, nil, "attacker.example", false},
		{"a name that begins like an address", loopback, nil, "127.0.0.1.attacker.example", false},
		{"a name that ends like localhost", loopback, nil, "attacker-localhost", false},
		{"an address of the network", loopback, nil, "192.0.2.1:8080", false},
		{"the unspecified address", loopback, nil, "0.0.0.0:8080", false},
		{"no host", loopback, nil, "", false},
		{"an allowed name", loopback, named, "clients.example.COM:443", true},
		{"an allowed address", loopback, named, "192.0.2.7", true},
		{"localhost beside an allowed name", loopback, named, "localhost", true},
		{"a name that is not allowed", loopback, named, "clients.example.com.attacker.example", false},

		{"an address, without authentication", open, nil, "192.0.2.1:8080", true},
		{"IPv6, without authentication", open, nil, "[2001:db8::1]:8080", true},
		{"localhost, without authentication", open, nil, "localhost:8080", true},
		{"a name, without authentication", open, nil, "attacker.example", false},
		{"an allowed name, without authentication", open, named, "clients.example.com", true},

		{"an address of the network, with allowed names", network, named, "192.0.2.1:8443", true},
		{"an allowed name, with authentication", network, named, "clients.example.com:8443", true},
		{"a name that is not allowed, with authentication", network, named, "attacker.example", false},
	} {
		if got := c.on.options.AllowHost(c.on.listen, c.allowed)(c.host); got != c.want {
			t.Errorf("%s: %v for %q", c.name, got, c.host)
		}
	}
	if network.options.AllowHost(network.listen, nil) != nil {
		t.Error("a listener with authentication on a network does not answer every host")
	}
}
