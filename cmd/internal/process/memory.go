package process

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
)

// TuneMemory makes the garbage collector run less often on the small heap of an ingress or a worker, and more often on a large
// heap, such as the index of a long log in serve. It sets a memory limit of 512 MiB, or less on a machine or in a container with little
// memory, unless limited is true: then the operator has set one (GOMEMLIMIT).
func (p *Process) TuneMemory(limited bool) {
	// The garbage collector runs when the heap has doubled. Under load, a heap of a few MB doubles thirty times a second. This
	// ballast counts as heap, but occupies no memory, because nothing writes to it.
	ballast := make([]byte, 32<<20)
	p.OnStop("memory", func(context.Context) error {
		runtime.KeepAlive(ballast)
		return nil
	})
	if limited {
		return
	}
	limit := int64(memoryLimit)
	if memory := Memory(false); memory > 0 {
		limit = min(limit, memory/10*9) // the rest is for what the garbage collector does not manage
	}
	debug.SetMemoryLimit(limit)
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

// Memory returns the memory in bytes that the process can use: that of the machine, or the limit of its control groups (a container, or
// systemd's MemoryMax), or, if limited is true, GOMEMLIMIT. The least of them applies. It returns 0 if the system reports none.
func Memory(limited bool) int64 {
	limits := []int64{machineMemory()}
	if groups, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		limits = append(limits, groupMemory(os.DirFS("/sys/fs/cgroup"), string(groups)))
	}
	if limited {
		limits = append(limits, debug.SetMemoryLimit(-1))
	}
	least := int64(0)
	for _, limit := range limits {
		if limit > 0 && limit < math.MaxInt64 && (least == 0 || limit < least) {
			least = limit
		}
	}
	return least
}
