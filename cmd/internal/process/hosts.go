package process

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Hosts are the values of the Host header that a listener answers. A web page can have its own name resolve to the address of the
// listener and read the responses as those of its own site (DNS rebinding). Its requests have that name as their Host: never an
// address, and never localhost, which browsers resolve themselves.
type Hosts struct {
	// loopback is true for a listener on loopback. It does not answer to other addresses of the machine.
	loopback bool
	names    []string
}

// HostsOf returns the hosts of a listener that no caller authenticates to.
func HostsOf(listen string, names []string) Hosts {
	return Hosts{loopback: IsLoopback(listen), names: names}
}

// Allow reports whether the listener answers requests with this Host.
func (h Hosts) Allow(host string) bool {
	host = canonicalHost(host)
	_, err := netip.ParseAddr(host)
	return IsLoopback(host) || err == nil && !h.loopback ||
		slices.ContainsFunc(h.names, func(name string) bool { return canonicalHost(name) == host })
}

// canonicalHost returns the name or the address in HOST or HOST:PORT, in lower case.
func canonicalHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// IsLoopback reports whether only this machine can reach the address, HOST or HOST:PORT.
func IsLoopback(address string) bool {
	host := canonicalHost(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// IsHost reports whether the text is a host without a port.
func IsHost(text string) bool {
	u, err := url.Parse("http://" + text)
	return err == nil && u.Host == text && text != "" && u.Port() == "" && !strings.HasSuffix(text, ":")
}
