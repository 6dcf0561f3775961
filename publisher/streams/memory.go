package streams

import "fmt"

// nats-server keeps an index of the log in memory. A command has about 250 bytes of it, and 400 with room for the garbage collector
// (nats-server 2.15.2). The smallest command has 404 bytes on disk, and callers choose how small theirs are. So a full log can need as
// much memory as it has bytes. RESULTS.md of perftest has the measurements.
const (
	// DefaultLogMaxBytes is the size of a new log whose index fits into the memory.
	DefaultLogMaxBytes = 2 << 30
	// memoryBesideLog is the memory in bytes for everything else in the process of the server.
	memoryBesideLog = 256 << 20
	// leastLog is the size of a new log on a machine with too little memory for one.
	leastLog = 64 << 20
)

// MemoryFor returns the memory in bytes that a server needs for a command log of a size in bytes.
func MemoryFor(logMaxBytes int64) int64 { return logMaxBytes + memoryBesideLog }

// largestLog returns the largest log for a server with this memory, in bytes.
func largestLog(memory int64) int64 { return max(leastLog, memory-memoryBesideLog) }

// defaultLog returns the size of a new log on a server with this memory, in bytes; 0 means that it is not known.
func defaultLog(memory int64) int64 {
	if memory == 0 {
		return DefaultLogMaxBytes
	}
	return min(DefaultLogMaxBytes, largestLog(memory))
}

// CheckMemory returns a *MemoryError if the index of the command log does not fit into the memory of the server, in bytes; 0 means that
// it is not known.
func CheckMemory(logMaxBytes, memory int64) error {
	if memory == 0 || logMaxBytes <= largestLog(memory) {
		return nil
	}
	return &MemoryError{LogMaxBytes: logMaxBytes, Memory: memory}
}

// MemoryError means that a full command log would need more memory than the server has. Its members are in bytes.
type MemoryError struct{ LogMaxBytes, Memory int64 }

func (e *MemoryError) Error() string {
	return fmt.Sprintf("a full log of %d bytes needs %d MiB of memory, mostly for its index, of %d MiB: set at most %d "+
		"bytes, or raise the memory limit of the container or service (or GOMEMLIMIT)",
		e.LogMaxBytes, MemoryFor(e.LogMaxBytes)>>20, e.Memory>>20, largestLog(e.Memory))
}
