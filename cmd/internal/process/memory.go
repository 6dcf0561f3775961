package process

import (
	"context"
	"runtime"
	"runtime/debug"
)

// TuneMemory makes the garbage collector run less often on the small heap of an ingress or a worker, and more often on a large one,
// such as the index of a long log in serve. limited reports whether the operator has set a limit (GOMEMLIMIT), which stays.
func (p *Process) TuneMemory(limited bool) {
	// The garbage collector lets the heap double before it runs. A heap of a few MB fills thirty times a second under load. This
	// ballast counts as heap, and occupies no memory, because it is never touched.
	ballast := make([]byte, 32<<20)
	p.OnStop("memory", func(context.Context) error {
		runtime.KeepAlive(ballast)
		return nil
	})
	if !limited {
		debug.SetMemoryLimit(512 << 20)
	}
}
