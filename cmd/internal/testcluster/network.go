package testcluster

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"clientele/store/storetest"
)

// Network is a bridge between hosts, each a network namespace with an address of its own. This process reaches all of them. It requires
// root on Linux, and ip of iproute2.
type Network struct {
	t      testing.TB
	prefix string // of every name of the network
	subnet string // the first three parts of its addresses
	hosts  []*Host
}

var networks atomic.Int64

// NewNetwork creates a network without hosts. It is removed after the test.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("hosts are network namespaces, which require root on Linux")
	}
	// A name of a link has at most 15 characters. 198.18.0.0/15 is for measurements between networks (RFC 2544).
	number := int(networks.Add(1))
	block := (os.Getpid()*8 + number) % 512
	n := &Network{t: t, prefix: fmt.Sprintf("cl%d-%d", os.Getpid(), number), subnet: fmt.Sprintf("198.%d.%d", 18+block/256, block%256)}
	t.Cleanup(func() { n.ip("link", "delete", n.prefix) })
	n.ip("link", "add", n.prefix, "type", "bridge")
	n.ip("address", "add", n.subnet+".1/24", "dev", n.prefix)
	n.ip("link", "set", n.prefix, "up")
	return n
}

// ip runs ip.
func (n *Network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Host is a host of a Network. A nil Host is this machine.
type Host struct {
	Address string

	network *Network
	name    string // of the namespace, and of its link on the bridge
}

// Host adds a host to the network.
func (n *Network) Host() *Host {
	n.t.Helper()
	number := len(n.hosts) + 2
	h := &Host{network: n, name: fmt.Sprint(n.prefix, "-", number), Address: fmt.Sprint(n.subnet, ".", number)}
	n.hosts = append(n.hosts, h)
	n.ip("netns", "add", h.name)
	n.t.Cleanup(func() { n.ip("netns", "delete", h.name) }) // and with it the link
	n.ip("link", "add", h.name, "type", "veth", "peer", "name", "eth0", "netns", h.name)
	n.ip("link", "set", h.name, "master", n.prefix, "up")
	n.ip("-netns", h.name, "address", "add", h.Address+"/24", "dev", "eth0")
	n.ip("-netns", h.name, "link", "set", "eth0", "up")
	n.ip("-netns", h.name, "link", "set", "lo", "up")
	return h
}

// Cut unplugs the host from the network, until Join.
func (h *Host) Cut() {
	h.network.t.Helper()
	h.network.ip("link", "set", h.name, "down")
}

// Join ends Cut.
func (h *Host) Join() {
	h.network.t.Helper()
	h.network.ip("link", "set", h.name, "up")
}

// CutFrom loses everything that the host sends to the peers, until JoinWith. It still receives what they send.
func (h *Host) CutFrom(peers ...*Host) {
	h.network.t.Helper()
	for _, peer := range peers {
		h.network.ip("-netns", h.name, "route", "add", "blackhole", peer.Address+"/32")
	}
}

// JoinWith ends CutFrom.
func (h *Host) JoinWith(peers ...*Host) {
	h.network.t.Helper()
	for _, peer := range peers {
		h.network.ip("-netns", h.name, "route", "delete", "blackhole", peer.Address+"/32")
	}
}

// ForPostgres returns the host for storetest.
func (h *Host) ForPostgres() storetest.Host {
	return storetest.Host{Address: h.Address, Enter: h.enter}
}

// enter moves this thread to the network of the host.
func (h *Host) enter() error {
	namespace, err := os.Open("/run/netns/" + h.name)
	if err != nil {
		return err
	}
	defer namespace.Close()
	return setNetwork(namespace)
}

// run calls a function that starts a process on the host.
func (h *Host) run(start func() error) error {
	if h == nil {
		return start()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and ends with this goroutine
		err := h.enter()
		if err == nil {
			err = start()
		}
		done <- err
	}()
	return <-done
}
