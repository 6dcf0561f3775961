package process

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
)

// TuneMemory makes the garbage collector run less often on the small heap of an ingress or a worker, and more often on a large
// heap, such as the index of a long log in serve. It sets a memory limit of 512 MiB unless limited is true: then the operator has
// set one (GOMEMLIMIT).
func (p *Process) TuneMemory(limited bool) {
	// The garbage collector runs when the heap has doubled. Under load, a heap of a few MB doubles thirty times a second. This
	// ballast counts as heap, but occupies no memory, because nothing writes to it.
	ballast := make([]byte, 32<<20)
	p.OnStop("memory", func(context.Context) error {
		runtime.KeepAlive(ballast)
		return nil
	})
	if !limited {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// memoryLimit is the memory limit in bytes without GOMEMLIMIT.
const memoryLimit = 512 << 20

// ShareOfMemory returns how many things of a size in bytes fit into a quarter of the memory limit, at least 1.
func ShareOfMemory(size int64) int {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 { // GOMEMLIMIT=off
		limit = memoryLimit
	}
	return int(max(1, limit/4/size))
}
