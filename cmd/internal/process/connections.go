package process

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// connections is a listener that limits its open connections. At the limit, a new connection replaces the one that has waited longest
// for a request, so that idle connections never keep a caller out. If all of them have a request in progress, the new one waits.
type connections struct {
	net.Listener

	max        int                // 0 for no limit
	perAddress int                // 0 for no limit
	shed       prometheus.Counter // of connections that were replaced or refused

	mu        sync.Mutex
	changed   *sync.Cond // a connection closed or waits, or the listener closed
	closed    bool
	open      int
	byAddress map[string]int // open connections by remote address
	waiting   list.List      // of *connection: those without a request in progress, the longest first
}

// connection is an open connection. Its fields are under the mutex of its listener.
type connection struct {
	net.Conn

	of       *connections
	address  string
	waiting  *list.Element // nil while a request is in progress
	released bool
}

func limitConnections(listener net.Listener, most, perAddress int, shed prometheus.Counter) *connections {
	l := &connections{Listener: listener, max: most, perAddress: perAddress, shed: shed, byAddress: map[string]int{}}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// Accept returns the next connection that the limits admit.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, of: l}
		if c.address, _, err = net.SplitHostPort(conn.RemoteAddr().String()); err == nil && l.admit(c) {
			return c, nil
		}
		_ = conn.Close()
	}
}

// Close closes the listener. Open connections stay open.
func (l *connections) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.changed.Broadcast()
	return l.Listener.Close()
}

// admit makes room for a connection and counts it. It returns false if its address has too many requests in progress, or the listener
// is closed.
func (l *connections) admit(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perAddress > 0 && l.byAddress[c.address] >= l.perAddress && !l.replace(c.address) {
		l.shed.Inc()
		return false
	}
	for l.max > 0 && l.open >= l.max && !l.closed {
		if !l.replace("") {
			l.changed.Wait()
		}
	}
	if l.closed {
		return false
	}
	l.open++
	l.byAddress[c.address]++
	c.waiting = l.waiting.PushBack(c)
	return true
}

// replace closes the connection that has waited longest for a request, of this address unless that is "". It reports whether there
// was one.
func (l *connections) replace(address string) bool {
	for e := l.waiting.Front(); e != nil; e = e.Next() {
		c, _ := e.Value.(*connection)
		if address == "" || c.address == address {
			l.release(c)
			l.shed.Inc()
			_ = c.Conn.Close() // ends the Read of its server, which then calls Close
			return true
		}
	}
	return false
}

// release stops counting a connection.
func (l *connections) release(c *connection) {
	if c.released {
		return
	}
	c.released = true
	l.open--
	if l.byAddress[c.address]--; l.byAddress[c.address] == 0 {
		delete(l.byAddress, c.address)
	}
	if c.waiting != nil {
		l.waiting.Remove(c.waiting)
		c.waiting = nil
	}
}

// Close closes the connection.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.release(c)
	c.of.mu.Unlock()
	c.of.changed.Signal()
	return c.Conn.Close()
}

// state is the ConnState of the server: it keeps the list of waiting connections.
func (l *connections) state(conn net.Conn, state http.ConnState) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, ok := conn.(*connection)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.released:
	case state == http.StateActive && c.waiting != nil:
		l.waiting.Remove(c.waiting)
		c.waiting = nil
	case state == http.StateIdle && c.waiting == nil:
		c.waiting = l.waiting.PushBack(c)
		l.changed.Signal()
	}
}
