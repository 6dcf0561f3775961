package process

import (
	"context"
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
		debug.SetMemoryLimit(512 << 20)
	}
}
