package storetest

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// ports are the next port that FreePort may return, the end of its block, and what keeps the blocks of this process.
var ports struct {
	sync.Mutex
	next, end int
	kept      []net.Listener
}

// FreePort returns a port of 127.0.0.1 that nothing listens on, and never the same one twice: the caller may use it later. It is below the
// ephemeral ports, so that no connection takes it before the caller does. Nor does the test of another package, which may run at the same
// time: each process has blocks of ports of its own, and keeps the first port of each.
func FreePort() (int, error) {
	const first, blocks, size = 10_000, 200, 100
	ports.Lock()
	defer ports.Unlock()
	var err error
	for range 1000 {
		if ports.next == ports.end {
			begin := first + size*rand.N(blocks)
			var l net.Listener
			if l, err = listen(begin); err == nil {
				ports.next, ports.end, ports.kept = begin+1, begin+size, append(ports.kept, l)
			}
			continue
		}
		port := ports.next
		ports.next++
		var l net.Listener
		if l, err = listen(port); err == nil {
			return port, l.Close()
		}
	}
	return 0, cmp.Or(err, errors.New("no free port found"))
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
