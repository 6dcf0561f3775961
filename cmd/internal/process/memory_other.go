//go:build !linux

package process

// machineMemory returns 0: the memory is not known.
func machineMemory() int64 { return 0 }
